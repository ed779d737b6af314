"""Uploaded files, for whoever holds a signed, expiring address: a plain GET, no session."""

from django.core.signing import BadSignature
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from xqueue_bridge.external_grader import files
from xqueue_bridge.external_grader.models import SubmissionContent


@require_safe
def download_file(request: HttpRequest, token: str, name: str = "") -> HttpResponseBase:
    """Serve one file of a submission. ``name`` only decorates the address."""
    try:
        link = files.read_file_token(token)
    except BadSignature:
        raise Http404 from None
    content = SubmissionContent.objects.only("files").filter(submission=link.submission_id).first()
    if content is None:
        raise Http404
    stored = content.stored_files()[link.index]
    try:
        opened = files.open_file(stored)
    except FileNotFoundError:
        raise Http404 from None
    response = FileResponse(
        opened,
        as_attachment=True,
        filename=stored.name,
        content_type="application/octet-stream",
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
