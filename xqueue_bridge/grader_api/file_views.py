"""View that serves uploaded files by a signed, expiring URL, without a session."""

import logging

from django.core.signing import BadSignature
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from xqueue_bridge.data import StoredFile
from xqueue_bridge.protocol.reply_warnings import NO_FILE
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.models import SubmissionContent

log = logging.getLogger(__name__)


@require_safe
def download_file(request: HttpRequest, token: str, name: str = "") -> HttpResponseBase:
    """Serve one file of a submission. ``name`` is ignored; some graders need it in the URL."""
    try:
        link = files.read_file_token(token)
    except BadSignature as exc:
        return _refusal(404, f"the address is false or has expired ({type(exc).__name__})")
    try:
        stored = _find(link)
        opened = files.open_file(stored)
    except (LookupError, FileNotFoundError):
        return _refusal(404, f"a file of submission {link.submission_id} is gone")
    except Exception as exc:  # storages raise exceptions of many libraries
        name_of_fault = type(exc).__name__
        return _refusal(503, f"a file of submission {link.submission_id}: {name_of_fault}")
    response = FileResponse(
        opened,
        as_attachment=True,
        filename=stored.name,
        content_type="application/octet-stream",
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def _find(link: files.FileToken) -> StoredFile:
    """Return the file that a token refers to; raise LookupError if it does not exist."""
    content = SubmissionContent.objects.only("files").filter(submission=link.submission_id).first()
    stored = content.stored_files()[link.index] if content else None
    # After a retirement the remaining entries have no name, and other positions.
    if stored is None or not stored.name:
        raise LookupError
    return stored


def _refusal(status: int, reason: str) -> HttpResponse:
    log.warning("A download was refused (%s): %s", status, reason)
    response = HttpResponse(NO_FILE, status=status, content_type="text/plain")
    # Prevents Django from logging the URL, which grants access to the file.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
