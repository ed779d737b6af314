"""A long run of everything at once, whose result is checked from outside."""
