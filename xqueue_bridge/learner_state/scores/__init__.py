"""Points at one block: once for each reply, and what others read of them."""
