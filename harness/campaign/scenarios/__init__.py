"""Scenarios that make a server unfit on purpose, and undo it.

``scenarios.py`` says what each does and undoes, ``director.py`` (pure) says when. ``injector.py`` does it on
a host at a known moment, through the program ``injector_probe.py``.
"""
