"""Guests: their domain, image and saved states."""
