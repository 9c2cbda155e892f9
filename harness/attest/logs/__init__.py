"""Measured logs: the firmware's events and IMA's list.

Pure. Bytes are parsed within bounds and replayed; whether what they say is good,
:mod:`harness.attest.verify` decides.
"""
