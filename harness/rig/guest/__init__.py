"""Guests: their domain, image and saved states.

The one guest of a rig, by libvirt: ``domain.py`` boots, finds and ends it, ``snapshot.py`` saves and restores
it, ``image.py`` knows what it boots from.
"""
