"""Reading and writing the files omniplan exchanges: machines, plans, schemas."""
