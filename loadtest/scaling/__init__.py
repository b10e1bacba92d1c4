"""Measures how a whole installation grows: `python -m loadtest scaling`."""
