"""History of StudentModule rows: one entry after each write."""
