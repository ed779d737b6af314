"""Requests that schemathesis makes from the served OpenAPI document; a lane of its own in CI.

Not collected with the other tests: ``pytest tests/fuzz_openapi.py`` with the extra ``fuzz``. The
time is bounded: ``XQUEUE_BRIDGE_FUZZ_SECONDS``, 50 by default.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = int(os.environ.get("XQUEUE_BRIDGE_FUZZ_SECONDS", "50"))
#: The other checks of schemathesis are about REST status codes, which the protocol does not have.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)


def run(url: str, cookie: str, seconds: int, *selection: str) -> None:
    """Run schemathesis; fail with its report."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/xqueue/openapi.json"]
    command += ["--max-time", str(seconds), "--checks", CHECKS, "-H", f"Cookie: {cookie}"]
    command += ["--generation-database", "none", "--request-timeout", "20", "--no-color"]
    done = subprocess.run(
        [*command, *selection], capture_output=True, text=True, timeout=seconds * 4 + 120
    )
    sys.stdout.write(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_responses_are_as_described(live_server):
    """C54, C84: each response fits the document, and none is a server error."""
    for number in range(50):
        submission_queue.enqueue(new_submission(queue_key=f"key {number}"))
    grader = make_grader("python")
    cookie = "; ".join(f"{name}={value.value}" for name, value in grader.http.cookies.items())
    run(live_server.url, cookie, SECONDS, "--exclude-path-regex", "logout")
    assert Submission.objects.filter(deliveries__gt=0).exists(), "the session was used"
    run(live_server.url, cookie, 5, "--include-path-regex", "logout")
