"""Scores at blocks: the ledger, queries, signals and caches."""
