"""Weighs inference engines for a model and a machine from dated facts."""
