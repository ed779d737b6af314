"""Stand-ins that keep the real contract."""
