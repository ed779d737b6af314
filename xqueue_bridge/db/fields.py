"""Model fields whose values are compared case-sensitively on every database."""

from __future__ import annotations

from typing import TypeAlias

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _
from opaque_keys.edx.django import models as opaque_keys
from opaque_keys.edx.keys import BlockTypeKey, CourseKey, LearningContextKey, UsageKey

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.protocol.fields import check_name

#: MySQL's and MariaDB's collation that compares bytes. The default collations of the other
#: databases do.
MYSQL_COLLATION = "utf8mb4_bin"

Parameters: TypeAlias = dict[str, str | None]


class CaseSensitiveCharField(models.CharField):
    """A CharField in which "a", "A" and "á" are three values.

    This is the default on PostgreSQL and SQLite; the default collations of MySQL and MariaDB treat
    them as equal.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Parameters:
        return _case_sensitive(super().db_parameters(connection), connection)


def validate_name(value: object) -> None:
    """Raise ValidationError if a form's value is not a name: see ``check_name``."""
    try:
        check_name(value, "name")
    except InvalidField:
        raise ValidationError(_("Enter 1 to 128 printable characters.")) from None


class NameField(CaseSensitiveCharField):
    """A name that people and programs type: compared without the white space around it.

    MySQL and MariaDB ignore trailing spaces when they compare, the other databases do not. So
    saved values and values of lookups lose them here, on every database.
    """

    default_validators = [validate_name]

    def get_prep_value(self, value: object) -> object:
        value = super().get_prep_value(value)
        return value.strip() if isinstance(value, str) else value


class _CaseSensitiveKeys(models.CharField):
    """Give a key field the column of a CaseSensitiveCharField, with every edx-opaque-keys.

    Releases before 3.1 set no collation. Later ones have an argument ``case_sensitive``, which an
    LMS with an earlier release refuses, and without it make columns that ignore case.
    """

    # The type checker reads ``_pyi_private_get_type`` of the subclasses: each row has a key.

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Parameters:
        return _case_sensitive(models.CharField.db_parameters(self, connection), connection)


class LearningContextKeyField(_CaseSensitiveKeys, opaque_keys.LearningContextKeyField):
    """Stores the key of a course or library."""

    _pyi_private_get_type: LearningContextKey


class CourseKeyField(_CaseSensitiveKeys, opaque_keys.CourseKeyField):
    """Stores the key of a course."""

    _pyi_private_get_type: CourseKey


class UsageKeyField(_CaseSensitiveKeys, opaque_keys.UsageKeyField):
    """Stores the key of a block in a course or library."""

    _pyi_private_get_type: UsageKey


class BlockTypeKeyField(_CaseSensitiveKeys, opaque_keys.BlockTypeKeyField):
    """Stores the key of a type of blocks."""

    _pyi_private_get_type: BlockTypeKey


def _case_sensitive(parameters: Parameters, connection: BaseDatabaseWrapper) -> Parameters:
    if connection.vendor == "mysql":
        parameters["collation"] = MYSQL_COLLATION
    return parameters
