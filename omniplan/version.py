"""The version, alone: every room may ask for it without importing the package."""

__version__ = "0.1.0"
