"""Guests: bound to their host, continuous across migrations, never cloned or rolled back.

Pure. ``binding.py`` joins two quotes to one statement, ``continuity.py`` compares before and after a move,
``history.py`` looks for a second copy or an old state in all sightings of a guest.
"""
