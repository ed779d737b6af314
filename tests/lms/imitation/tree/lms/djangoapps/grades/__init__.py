"""Part of the imitation of an LMS: see tests/lms/imitation/README.rst."""
