"""Room 4: what the LMS remembers of a learner at a block."""
