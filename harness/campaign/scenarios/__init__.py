"""Scenarios that make a server unfit on purpose, and undo it."""
