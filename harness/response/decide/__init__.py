"""Decides what must happen to a guest. Pure."""
