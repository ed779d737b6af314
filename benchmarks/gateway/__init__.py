"""The gateway beside the web processes: pickup by watchers, and thousands that wait."""
