"""Evidence of a run: journal, series, folder and archive, and how they are read.

``record.py`` writes it, ``reading.py`` reads it as the values of ``attempt.py``, ``seal.py`` says whether it
is what was recorded. ``observers/`` has its sources.
"""
