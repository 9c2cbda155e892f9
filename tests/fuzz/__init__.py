"""Readers of what an attester, or a user, hands over, fed with anything."""
