"""Settings of LMS and CMS that the app changes when it is installed as their plugin."""
