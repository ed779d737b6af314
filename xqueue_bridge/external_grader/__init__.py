"""Room 2: where graders knock."""
