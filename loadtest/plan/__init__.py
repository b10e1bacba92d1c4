"""Sizes an installation from what was measured: `python -m loadtest plan`."""
