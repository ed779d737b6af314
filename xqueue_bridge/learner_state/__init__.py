"""Learners' state, scores and history at blocks."""
