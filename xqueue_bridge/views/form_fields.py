"""Form fields of opaque keys and days, whose value is None if they are empty; a form of days."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TypeVar

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, UsageKey

M = TypeVar("M", bound=Model)

#: Characters of a key or a name.
MAX_TEXT = 255


class CourseKeyField(forms.CharField):
    """A course key."""

    def clean(self, value: object) -> CourseKey | None:
        text = super().clean(value)
        try:
            return CourseKey.from_string(text) if text else None
        except InvalidKeyError:
            raise forms.ValidationError(_("This is not a course key.")) from None


class UsageKeyField(forms.CharField):
    """A usage key."""

    def clean(self, value: object) -> UsageKey | None:
        text = super().clean(value)
        try:
            return UsageKey.from_string(text) if text else None
        except InvalidKeyError:
            raise forms.ValidationError(_("This is not a usage key.")) from None


class DayField(forms.DateField):
    """A day whose beginning and end have a time in UTC, in whatever time zone it is."""

    widget = forms.DateInput({"type": "date"})
    default_validators = [MinValueValidator(date(1, 1, 2)), MaxValueValidator(date(9999, 12, 30))]


class DayRangeForm(forms.Form):
    """A search form with the first and the last day of what is searched; both may be empty."""

    since = DayField(label=_("From"), required=False)
    until = DayField(label=_("To"), required=False)

    def in_range(self, rows: QuerySet[M], field: str) -> QuerySet[M]:
        """Return the rows whose time in ``field`` is in the days of the valid form."""
        since, until = self.cleaned_data["since"], self.cleaned_data["until"]
        if since:
            rows = rows.filter(**{f"{field}__gte": _at(since, time.min)})
        if until:
            rows = rows.filter(**{f"{field}__lte": _at(until, time.max)})
        return rows


def _at(day: date, moment: time) -> datetime:
    return timezone.make_aware(datetime.combine(day, moment))
