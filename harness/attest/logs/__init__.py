"""Measured logs: the firmware's events and IMA's list."""
