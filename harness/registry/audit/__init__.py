"""The hash-chained audit log.

``chain.py`` is pure; ``log.py``, ``rows.py`` and ``state.py`` store it in the database with the rows that it
covers, ``check.py`` compares the two, ``export.py`` writes it to a file.
"""
