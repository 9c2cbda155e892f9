"""Scenarios that make a server unfit on purpose, and undo it.

``scenarios.py`` says what each does. ``injector.py`` does it on a host at a known moment, through the
program ``injector_probe.py``.
"""
