"""Metrics of responses, computed from evidence.

Pure. ``evidence.py`` reads a response from the journal, ``metrics.py`` computes its spans, ``table.py`` makes
the tables ``responses.parquet`` and ``.csv``.
"""
