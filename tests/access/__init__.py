"""Who gets what at each URL."""
