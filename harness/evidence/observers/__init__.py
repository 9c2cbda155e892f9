"""Observers: one source of evidence a file. They stamp and record; they never judge.

``contract.py`` is what an observer must offer; files called ``*_probe.py`` run on machines.
"""
