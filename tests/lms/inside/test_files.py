"""Files of a learner, from the page to the grader."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.files.uploadedfile import SimpleUploadedFile

from tests.lms.inside.base import CourseTestCase
from tests.lms.inside.olx import OLX
from xqueue_bridge.submission_queue.models import SubmissionContent


class FilesTest(CourseTestCase):
    """A problem that takes a file."""

    OLX = OLX.replace(
        '<textbox rows="10" cols="70" mode="python" points="1"/>',
        '<filesubmission points="1" allowed_files="answer.py"/>',
    )

    def test_uploaded_file_reaches_the_grader(self) -> None:
        """C52: by an absolute URL, in the private storage that the plug-in has added."""
        file = SimpleUploadedFile("answer.py", b"print(42)")
        self.handle("problem_check", **{f"input_{self.answer_id}": file})
        [stored] = SubmissionContent.objects.get().stored_files()
        assert (stored.name, stored.size) == ("answer.py", 9)
        assert self.grader.login()["return_code"] == 0
        [url] = self.grader.pull()["xqueue_files"].values()
        parts = urlsplit(url)
        response = self.client.get(parts.path)
        assert b"".join(response.streaming_content) == b"print(42)"
