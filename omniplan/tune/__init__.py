"""Tuning on the machine itself: measure the few configurations that could still win, and learn from each."""
