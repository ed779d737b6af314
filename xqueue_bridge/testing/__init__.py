"""Tests that we ship: what a class of yours must pass to take the place of one of ours."""
