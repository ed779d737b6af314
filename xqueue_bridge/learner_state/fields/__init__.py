"""The other scopes of XBlock fields, and the caches in front of all of them."""
