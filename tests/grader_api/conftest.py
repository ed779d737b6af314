"""Fixtures: a grader account, and a cache that starts empty."""

from tests.submission_queue.conftest import _empty_cache, grader

__all__ = ["_empty_cache", "grader"]
