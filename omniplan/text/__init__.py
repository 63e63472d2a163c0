"""Values to text; never computes."""
