"""Benchmarks of the bridge. Not part of the package."""
