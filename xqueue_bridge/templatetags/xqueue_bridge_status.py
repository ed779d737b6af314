"""Template tag with the status of the learner's answers at a problem block."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.views.learner.status import status_context

register = template.Library()


@register.simple_tag(takes_context=True)
def learner_status(context: template.Context, usage_key: UsageKey | str) -> SafeString:
    """Render the signed-in learner's status at a block; nothing without a user.

    ``usage_key`` is a key or its text. The template needs ``request`` in its context.
    """
    request: Any = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return SafeString("")
    key = UsageKey.from_string(usage_key) if isinstance(usage_key, str) else usage_key
    found = status_context(user.pk, key)
    return render_to_string("xqueue_bridge/_learner_status.html", found, request=request)
