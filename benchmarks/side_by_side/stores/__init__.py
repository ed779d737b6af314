"""What each system stores: how its tables are filled, copied and counted."""
