"""Predicting speed: what one token and one prompt cost in seconds, from bytes, bandwidths and measured constants."""
