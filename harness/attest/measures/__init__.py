"""Attestations as they are stored, and the metrics computed from them."""
