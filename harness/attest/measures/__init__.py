"""Attestations as they are stored, and the metrics computed from them.

``line.py`` is one stored attestation, ``transcript.py`` makes it of a round, ``timings.py`` computes its
spans, ``table.py`` makes the tables ``attestations.parquet`` and ``.csv``.
"""
