"""Attestation in the words of RFC 9334: evidence, its verification, and who may attest.

What decides is pure: structures, logs, verification, appraisal and binding are functions of values that are
handed in, clocks and registry included. Only the channel to an attester and the trust monitor touch machines.
No caller receives a platform's state before every step of the verification has passed.
"""
