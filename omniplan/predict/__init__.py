"""Predicting speed; nothing yet."""
