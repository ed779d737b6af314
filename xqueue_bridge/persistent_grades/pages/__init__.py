"""Where people see grades, and a course team sets them."""
