"""Attesters: what they answer, and the channel to one on a machine."""
