"""Rows of the shipped tables, checked as they are read."""
