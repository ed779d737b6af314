"""What grading must know of a course, and where it is read from."""
