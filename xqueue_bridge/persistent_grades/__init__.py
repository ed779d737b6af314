"""Room 5: scores add up to a course grade."""
