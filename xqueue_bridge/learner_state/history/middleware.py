"""Middleware that makes each request one history batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from xqueue_bridge.learner_state.history.batch import history_batch


@sync_and_async_middleware
def history_batch_middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Run the rest of the request in ``history_batch``."""
    if iscoroutinefunction(get_response):

        async def in_one_batch_async(request: HttpRequest) -> HttpResponseBase:
            with history_batch():
                return await get_response(request)

        return in_one_batch_async

    def in_one_batch(request: HttpRequest) -> HttpResponseBase:
        with history_batch():
            return get_response(request)

    return in_one_batch
