import os
import shlex
import tempfile
from pathlib import Path

from xqueue_bridge.grader import Limits, Result, Submission, run_program
from xqueue_bridge.grader.adapters import from_gradescope

#: The name that the autograder expects for an answer that the learner typed.
ANSWER = "answer.py"
#: Only these two folders are mounted: the image has the autograder itself in /autograder.
DOCKER = (
    "docker run --rm --network none --memory 1g -v {root}/submission:/autograder/submission "
    "-v {root}/results:/autograder/results my-autograder timeout 110 /autograder/run_autograder"
)
#: The command that starts the autograder; ``{root}`` is the folder with both folders.
COMMAND = os.environ.get("AUTOGRADER", DOCKER)


def grade(submission: Submission) -> Result:
    """Run the autograder on the answer, and return what its results.json says."""
    files = submission.files() or {ANSWER: submission.response.encode()}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "submission").mkdir()
        (root / "results").mkdir()
        for name, content in files.items():
            (root / "submission" / Path(name).name).write_bytes(content)
        command = shlex.split(COMMAND.format(root=root))
        outcome = run_program(command, limits=Limits(seconds=120, memory_bytes=None))
        results = root / "results" / "results.json"
        if not results.is_file():
            raise FileNotFoundError(f"no results.json; status {outcome.status}: {outcome.stderr}")
        return from_gradescope(results.read_bytes())
