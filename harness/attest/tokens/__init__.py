"""Attestation results as signed tokens (EAR).

For relying parties elsewhere: ``ear.py`` writes a result as a JWT, ``signing_key.py`` keeps the key.
"""
