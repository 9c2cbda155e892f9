"""Checks a machine's prerequisites, and names the remedy for each missing one.

``facts.py`` gathers, ``checks.py`` judges and is pure.
"""
