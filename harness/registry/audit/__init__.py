"""The hash-chained audit log.

``chain.py`` is pure; ``log.py``, ``rows.py`` and ``state.py`` keep it in the database beside the rows that
it speaks of, ``check.py`` compares the two, ``export.py`` writes it to a file.
"""
