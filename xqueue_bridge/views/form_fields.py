"""Form fields of opaque keys; the value of an empty field is None."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, UsageKey


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
