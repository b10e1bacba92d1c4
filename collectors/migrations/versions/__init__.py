"""Revisions of the tables, in plain SQL."""
