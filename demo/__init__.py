"""The demo: a small host project instead of an LMS. Not part of the package."""
