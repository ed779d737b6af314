import os
import shlex
import tempfile
from pathlib import Path

from xqueue_bridge.grader import Limits, Result, Submission, run_program
from xqueue_bridge.grader.adapters import from_prairielearn

#: The name that the autograder expects for an answer that the learner typed.
ANSWER = "answer.py"
#: PrairieLearn keeps these outside of the image, in the course's repository.
COURSE = "/path/to/course"
TESTS = f"{COURSE}/questions/my-question/tests"
DOCKER = (
    "docker run --rm --network none --memory 1g -v {root}/student:/grade/student "
    f"-v {{root}}/results:/grade/results -v {TESTS}:/grade/tests:ro "
    f"-v {COURSE}/serverFilesCourse:/grade/serverFilesCourse:ro "
    "my-autograder timeout 110 /grade/serverFilesCourse/run.sh"
)
#: The command that starts the autograder; ``{root}`` is the folder with student and results.
COMMAND = os.environ.get("AUTOGRADER", DOCKER)


def grade(submission: Submission) -> Result:
    """Run the autograder on the answer, and return what its results.json says, of 10 points."""
    files = submission.files() or {ANSWER: submission.response.encode()}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "student").mkdir()
        (root / "results").mkdir()
        for name, content in files.items():
            (root / "student" / Path(name).name).write_bytes(content)
        command = shlex.split(COMMAND.format(root=root))
        outcome = run_program(command, limits=Limits(seconds=120, memory_bytes=None))
        results = root / "results" / "results.json"
        if not results.is_file():
            raise FileNotFoundError(f"no results.json; status {outcome.status}: {outcome.stderr}")
        return from_prairielearn(results.read_bytes(), points=10)
