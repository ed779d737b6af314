"""Room 6: a course grade goes on to other services."""
