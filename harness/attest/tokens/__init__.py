"""Attestation results as signed tokens (EAR)."""
