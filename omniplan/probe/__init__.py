"""This host as a Machine: what it can see, and None for what it cannot."""
