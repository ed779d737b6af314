"""The XQueue REST protocol: login, logout, status, get_queuelen, get_submission, put_result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, FormParser, JSONParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from xqueue_bridge.conf import options
from xqueue_bridge.data import PulledSubmission
from xqueue_bridge.exceptions import InvalidField, QueueContended, RequestRefused
from xqueue_bridge.grader_api import authentication, status
from xqueue_bridge.grader_api.refusal_log import log_refusal, log_unreadable
from xqueue_bridge.grader_api.request_body import media_type, prepare_body
from xqueue_bridge.grader_api.responses import Envelope, EnvelopeRenderer, failure, success
from xqueue_bridge.grader_api.source_address import source_address
from xqueue_bridge.grader_api.throttling import FailedLoginThrottle
from xqueue_bridge.grader_api.unreadable import UNREADABLE, field_at_fault
from xqueue_bridge.protocol import fields as protocol_fields
from xqueue_bridge.protocol.reply_warnings import (
    FILES_HEADER,
    MAX_SCORE_HEADER,
    RESULT_HEADER,
    RESULT_VERSION,
)
from xqueue_bridge.submission_queue import accounts, files, queue, results
from xqueue_bridge.submission_queue.accounts import Principal
from xqueue_bridge.submission_queue.grader_models import QueueGrant
from xqueue_bridge.worker.enqueue import defer_jobs

log = logging.getLogger(__name__)

#: Bytes of a form that one byte of feedback takes at most, escaped for JSON and for the form; less
#: for most characters, so that there is a reserve for feedback that is too long.
BYTES_IN_FORM = 16


class IgnoreAcceptHeader(BaseContentNegotiation):
    """DRF content negotiation that returns JSON whatever Accept header the client sends."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        return next((p for p in parsers if media_type(request._request) == p.media_type), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        [renderer] = renderers
        return renderer, renderer.media_type


class XQueueView(APIView):
    """Base of the endpoints: session required, envelope returned, also for errors."""

    authentication_classes = [authentication.GraderSessionAuthentication]
    permission_classes = [authentication.IsGrader]
    parser_classes = [FormParser, MultiPartParser, JSONParser]
    renderer_classes = [EnvelopeRenderer]
    content_negotiation_class = IgnoreAcceptHeader
    throttle_classes = []
    # No HEAD: a pull without a response body would lease a submission without effect.
    http_method_names = ["get", "post"]

    #: Message for a request body that cannot be read, and for a method that is not allowed.
    unreadable = results.BAD_FORMAT
    wrong_method = "Method not allowed"
    #: The request body, once ``fields`` has parsed it.
    parsed_fields: object = None

    @method_decorator(never_cache)
    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        with defer_jobs() as jobs:
            response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, Envelope):
            response.jobs = jobs
        return response

    @property
    def grader(self) -> Principal:
        """The grader account of the request, wherever ``IsGrader`` is required."""
        return cast(Principal, self.request.auth)

    @property
    def fields(self) -> object:
        """Return the parsed request body."""
        try:
            self.parsed_fields = self.request.data
            return self.parsed_fields
        except (LookupError, UnicodeError) as exc:  # unknown charset, or undecodable text
            raise exceptions.ParseError from exc

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        try:
            prepare_body(request._request, self.least_body_limit())
        except InvalidField as exc:
            raise RequestRefused(self.unreadable) from exc

    def least_body_limit(self) -> int:
        """Return the bytes that a body may have, whatever Django's limit is."""
        return 0

    def get_exception_handler(self) -> Callable[..., HttpResponseBase | None]:
        return exception_handler


class LoginView(XQueueView):
    """Log a grader in. Requests without a session are redirected to GET."""

    authentication_classes = []
    permission_classes = [AllowAny]
    unreadable = "Insufficient login info"

    @method_decorator(ensure_csrf_cookie)
    def get(self, request: Request) -> Envelope:
        # return_code 1: a login POST that was redirected to this GET has not succeeded.
        return failure("login_required")

    def post(self, request: Request) -> Envelope:
        try:
            name = protocol_fields.text_field(self.fields, "username")
            secret = protocol_fields.text_field(self.fields, "password")
        except InvalidField as exc:
            return failure("Insufficient login info", exc)
        principal = accounts.authenticate(name, secret)
        if principal is None:
            return self._failed(request, name)
        response = success("Logged in")
        authentication.start_session(response, principal, secure=request.is_secure())
        response[FILES_HEADER] = files_url(request)
        return response

    def _failed(self, request: Request, name: str) -> Envelope:
        """Count, log and write down a failed login, if its source has not had too many."""
        source, throttle = source_address(request.META), FailedLoginThrottle()
        if not throttle.allow_request(request, self):
            if throttle.is_first_refusal():
                log.warning("Too many failed logins from %s: no more are logged for now", source)
            return failure("Too many failed logins. Please try again later.")
        grader_id = accounts.record_failed_login(name)
        # An unknown name is not logged: some people type the secret there.
        account = "an unknown name" if grader_id is None else f"grader {grader_id}"
        log.warning("Failed login with %s from %s", account, source)
        return failure("Incorrect login credentials")


class LogoutView(XQueueView):
    """End the request's session."""

    permission_classes = [AllowAny]

    def get(self, request: Request) -> Envelope:
        response = success("Goodbye")
        authentication.end_session(request, response)
        return response

    post = get


class StatusView(XQueueView):
    """Report whether the queue is available, and in a header what it works without."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def get(self, request: Request) -> Envelope:
        if status.is_database_down():
            return failure("Unavailable: database")
        return Envelope("OK", problem=status.working_without())

    post = get


class QueueLengthView(XQueueView):
    """Return how many submissions a grader could pull now."""

    def get(self, request: Request) -> Envelope:
        granted = sorted(self.grader.queue_names - {QueueGrant.EVERY_QUEUE})
        unknown = f"Valid queue names are: {', '.join(granted)}"
        return success(
            queue.queue_length(requested_queue(request, self.grader, "get_queuelen", unknown))
        )


class SubmissionView(XQueueView):
    """Deliver the oldest submission of a queue to the grader."""

    def get(self, request: Request) -> Envelope:
        queue_name = requested_queue(
            request, self.grader, "get_submission", "Queue '{queue_name}' not found"
        )
        try:
            pulled = queue.pull(queue_name, self.grader.grader_id) if self.grader.may_pull else None
        except QueueContended:
            return failure(f"Error fetching submission for {queue_name}. Please try again.")
        if pulled is None:
            response = failure(f"Queue '{queue_name}' is empty")
            if self.grader.may_pull:
                response.empty_queue, response.grader_id = queue_name, self.grader.grader_id
            return response
        response = success(json.dumps(serialize_submission(request, pulled)))
        response.pulled = pulled
        response[RESULT_HEADER] = RESULT_VERSION
        max_score = queue.max_score(queue_name, pulled.points)
        if max_score is not None:
            response[MAX_SCORE_HEADER] = json.dumps(max_score)
        return response


class ResultView(XQueueView):
    """Accept a grader's result."""

    wrong_method = "'put_result' must use HTTP POST"

    def least_body_limit(self) -> int:
        # Feedback that is too long is shortened, so that the grade counts.
        return BYTES_IN_FORM * options().MAX_REPLY_BYTES

    def post(self, request: Request) -> Envelope:
        return success(warnings=results.put_result(self.grader, self.fields))


def requested_queue(request: Request, grader: Principal, endpoint: str, unknown: str) -> str:
    """Return the queue that a request names; raise RequestRefused if the grader has no grant.

    The response is the same as for a queue that does not exist.
    """
    queue_name = request.query_params.get("queue_name", "").strip()
    if not queue_name:
        raise RequestRefused(f"'{endpoint}' must provide parameter 'queue_name'")
    served = grader.may_use(queue_name) and queue.is_known_queue(queue_name)
    if not served or not protocol_fields.is_valid_text(queue_name):
        raise RequestRefused(unknown.replace("{queue_name}", queue_name))
    return queue_name


def serialize_submission(request: Request, pulled: PulledSubmission) -> dict[str, str]:
    """Return the three texts that a grader receives."""
    header = {"submission_id": pulled.submission_id, "submission_key": pulled.pullkey}
    names = files.display_names(pulled.files)
    urls = {name: file_url(request, pulled, index, name) for index, name in enumerate(names)}
    return {
        "xqueue_header": json.dumps(header),
        "xqueue_body": pulled.body,
        "xqueue_files": json.dumps(urls),
    }


def file_url(request: Request, pulled: PulledSubmission, index: int, name: str) -> str:
    """Return the absolute URL of one file, valid for this lease only."""
    token = files.make_file_token(pulled.submission_id, index, pulled.delivery)
    # Some graders read the file extension from the URL.
    last_part = quote(name.replace("/", "_"), safe="", errors="replace")
    path = reverse("xqueue_bridge:file", kwargs={"token": token}) + last_part
    return _absolute(request, path)


def files_url(request: Request) -> str:
    """Return the URL with which every file's URL begins."""
    path = reverse("xqueue_bridge:file", kwargs={"token": "-"})
    return _absolute(request, path.removesuffix("-/"))


def _absolute(request: Request, path: str) -> str:
    base = options().PUBLIC_URL
    return base.rstrip("/") + path if base else request.build_absolute_uri(path)


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponseBase | None:
    """Return the protocol's response to an exception of a view; None for an unexpected one."""
    view: XQueueView = context["view"]
    if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        login = reverse("xqueue_bridge:login")
        return HttpResponseRedirect(f"{login}?{urlencode({'next': view.request.path})}")
    if isinstance(exc, RequestRefused):
        log_refusal(view.request, view.parsed_fields, str(exc), exc.__cause__)
        return failure(str(exc), exc.__cause__, exc.code)
    if isinstance(exc, exceptions.MethodNotAllowed):
        return failure(view.wrong_method)
    if isinstance(exc, UNREADABLE):
        log_unreadable(view.request, exc)
        return failure(view.unreadable, field_at_fault(exc))
    return None
