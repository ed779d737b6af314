"""The two ways out: a legacy XQueue server over HTTP, or our own submissions table."""
