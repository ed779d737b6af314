"""Tables of the other XBlock field scopes, and the caches of all scopes."""
