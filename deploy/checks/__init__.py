"""Checks of everything in deploy/ that no test of the programs reaches; `python -m deploy.checks` runs them.

A module a subject, each with its `CHECKS`; `__main__` lists the modules.
"""
