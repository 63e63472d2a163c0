"""Reading what a running server says and comparing it with a plan; nothing yet."""
