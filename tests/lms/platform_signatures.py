"""Parameters of the platform's functions that the bridge calls, with their names and defaults.

The stand-ins of one test and the imitation of an LMS both have these functions, with other bodies.
As in edx-platform's main branch of autumn 2025.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any


def get_block_for_descriptor(
    user,
    request,
    block,
    field_data_cache,
    course_key,
    position=None,
    wrap_xblock_display=True,
    grade_bucket_type=None,
    static_asset_path="",
    disable_staff_debug_info=False,
    course=None,
    will_recheck_access=False,
    track_function=None,
    student_data=None,
    request_token=None,
    user_location=None,
):
    raise NotImplementedError


def cache_for_block_descendents(
    course_id,
    user,
    block,
    depth=None,
    block_filter=lambda block: True,
    asides=None,
    read_only=False,
):
    raise NotImplementedError


def has_access(user, action, obj, course_key=None):
    raise NotImplementedError


def takes_parameters_of(platforms: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    """Let a function take the parameters of the platform's, and get them as one object.

    A call with other parameters raises TypeError, as a call of the platform's function does.
    """
    signature = inspect.signature(platforms)

    def decorate(function: Callable[[SimpleNamespace], Any]) -> Callable[..., Any]:
        @wraps(platforms)
        def called(*args: object, **kwargs: object) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return function(SimpleNamespace(**bound.arguments))

        return called

    return decorate
