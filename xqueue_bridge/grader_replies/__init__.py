"""Validate grader replies and apply them to the learner's state."""
