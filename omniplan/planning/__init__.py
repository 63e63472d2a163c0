"""Choosing a placement."""
