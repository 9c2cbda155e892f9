"""One examination: ask an attester, verify what it answers, keep the outcome.

``round.py`` carries it out, of one machine or of a guest linked to its host; ``outcome.py`` is what came of
it, and ``arrival.py`` judges a guest's move by it. ``evidence_file.py`` keeps evidence for a later verdict,
``recording.py`` learns reference values from it.
"""
