"""Test suites for classes that replace one of the bridge's own."""
