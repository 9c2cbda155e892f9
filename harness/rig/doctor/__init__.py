"""Checks what a machine lacks, and names the remedy.

``facts.py`` gathers, ``checks.py`` judges and is pure.
"""
