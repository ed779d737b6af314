"""Room 1: a block's answer leaves the LMS."""
