"""Fields of the course team's forms."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import UsageKey


class UsageKeyField(forms.CharField):
    """A usage key; the value of an empty field is None."""

    def clean(self, value: object) -> UsageKey | None:
        text = super().clean(value)
        try:
            return UsageKey.from_string(text) if text else None
        except InvalidKeyError:
            raise forms.ValidationError(_("This is not a usage key.")) from None
