from xqueue_bridge.grader import Result, Submission, Test


def grade(submission: Submission) -> Result:
    """Return one point for an answer that contains a loop."""
    has_loop = "for" in submission.response.split()
    return Result.of_tests([Test(name="has a loop", score=float(has_loop))])
