import os
import tempfile
from pathlib import Path

from xqueue_bridge.grader import Limits, Result, Submission, run_program
from xqueue_bridge.grader.adapters import from_prairielearn

DOCKER = "docker run --rm --network none --memory 1g -v {root}:/grade my-autograder"
#: The command that starts the autograder on the folder ``{root}``.
COMMAND = os.environ.get("AUTOGRADER", DOCKER + " /grade/serverFilesCourse/run.sh")


def grade(submission: Submission) -> Result:
    """Run the autograder on the answer, and return what its results.json says, of 10 points."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "student").mkdir()
        (root / "results").mkdir()
        for name, content in submission.files().items():
            (root / "student" / Path(name).name).write_bytes(content)
        command = COMMAND.format(root=root)
        run_program(command.split(), limits=Limits(seconds=120, memory_bytes=None))
        return from_prairielearn((root / "results" / "results.json").read_bytes(), points=10)
