"""Metrics of migrations, computed from evidence.

Pure. One module for each question; ``metrics.py``, ``interval_metrics.py`` and ``trial_metrics.py`` declare
what is measured of a migration, of an interval and of a trial.
"""
