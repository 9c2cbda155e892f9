"""Observers: one source of evidence a file. They stamp and record; they never judge."""
