import os
import tempfile
from pathlib import Path

from xqueue_bridge.grader import Limits, Result, Submission, run_program
from xqueue_bridge.grader.adapters import from_gradescope

DOCKER = "docker run --rm --network none --memory 1g -v {root}:/autograder my-autograder"
#: The command that starts the autograder on the folder ``{root}``.
COMMAND = os.environ.get("AUTOGRADER", DOCKER + " /autograder/run_autograder")


def grade(submission: Submission) -> Result:
    """Run the autograder on the answer, and return what its results.json says."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "submission").mkdir()
        (root / "results").mkdir()
        for name, content in submission.files().items():
            (root / "submission" / Path(name).name).write_bytes(content)
        command = COMMAND.format(root=root)
        run_program(command.split(), limits=Limits(seconds=120, memory_bytes=None))
        return from_gradescope((root / "results" / "results.json").read_bytes())
