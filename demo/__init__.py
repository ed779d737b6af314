"""The demo: a small host project that stands where the LMS stands. Not part of the package."""
