"""Room 3: from a grader's text to a score that we believe."""
