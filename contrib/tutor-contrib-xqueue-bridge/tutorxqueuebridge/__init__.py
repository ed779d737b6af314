"""Tutor plugin that installs xqueue_bridge."""
