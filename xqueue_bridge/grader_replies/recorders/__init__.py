"""The ways in which a checked reply can reach a learner's state."""
