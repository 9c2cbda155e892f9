"""Decides what must happen to a guest. Pure.

``situation.py`` is all that a decision depends on, ``decide.py`` the decision, ``after_crash.py`` that of a
controller that finds a response open.
"""
