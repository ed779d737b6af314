"""Test doubles of services, graders and blocks, which keep the real contract."""
