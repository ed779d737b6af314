"""Regrading thousands of submissions while learners submit: waiting times, results, kills."""
