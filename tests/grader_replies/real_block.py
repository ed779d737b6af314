"""Problems for the real problem block of Open edX, run by the demo's runtime."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from demo.course import Problem
from demo.runtime import answer_ids, submit
from demo.runtime import load_block as load
from tests.grader_replies.factories import COURSE
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.models import TransportOverride

CODEPARAM = "<codeparam><initial_display/><grader_payload>{}</grader_payload></codeparam>"
TEXT = f'<coderesponse queuename="python"><textbox points="%d"/>{CODEPARAM}</coderesponse>'
FILES = f'<coderesponse queuename="python"><filesubmission points="3"/>{CODEPARAM}</coderesponse>'
MATLAB = (
    '<coderesponse queuename="matlab"><matlabinput rows="1" cols="1"><plot_payload>p'
    f"</plot_payload></matlabinput>{CODEPARAM}</coderesponse>"
)
CHOICE = '<stringresponse answer="42"><textline/></stringresponse>'

OLX = {
    "one": TEXT % 1,
    "ten": TEXT % 10,
    "two": TEXT % 1 + TEXT % 1,
    "uneven": TEXT % 2 + TEXT % 5,
    "mixed": CHOICE + TEXT % 4,
    "files": FILES,
    "matlab": MATLAB,
}


def parse_usage_key(name: str) -> Any:
    return COURSE.make_usage_key("problem", name)


def load_block(user_id: int, course_key: Any, usage_key: Any) -> Any:
    """Return the learner's block; the setting BLOCK_LOADER names it. Raise Http404 as an LMS."""
    if usage_key.block_id not in OLX:
        raise Http404
    problem = Problem(
        usage_key=usage_key,
        chapter="",
        subsection="",
        olx=f"<problem>{OLX[usage_key.block_id]}</problem>",
        settings={"rerandomize": "never"},
        points=(),
        takes_files=False,
    )
    return load(user_id, course_key, usage_key, problem=problem)


def submit_answers(user_id: int, name: str) -> list[Submission]:
    """Submit the answers of a problem by our own transport; return the submissions."""
    TransportOverride.objects.get_or_create(scope="site", name="")
    usage_key = parse_usage_key(name)
    block = load_block(user_id, COURSE, usage_key)
    texts = ["print(42)"] * len(answer_ids(block))
    submit(block, {"a.py": b"print(42)"} if name == "files" else texts)
    sent = Submission.objects.filter(user_id=user_id, usage_key=usage_key).order_by("pk")
    assert len(sent) == OLX[name].count("<coderesponse")
    return list(sent)


def run_code(user_id: int) -> Submission:
    """Use "Run Code" of the matlab problem; return the submission."""
    TransportOverride.objects.get_or_create(scope="site", name="")
    usage_key = parse_usage_key("matlab")
    block = load_block(user_id, COURSE, usage_key)
    data = {"input_id": answer_ids(block)[0], "dispatch": "plot", "submission": "plot(1)"}
    block.handle_ajax("input_ajax", data)
    block.save()
    return Submission.objects.get(
        user_id=user_id, usage_key=usage_key, dispatch="ungraded_response"
    )
