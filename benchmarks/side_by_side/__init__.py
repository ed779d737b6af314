"""xqueue_bridge and edx-submissions behind the same web server, driven by the same graders."""
