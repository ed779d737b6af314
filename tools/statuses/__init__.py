"""A page with every status that a learner's answer can have, and its pictures."""
