"""Carries out a plan: runs, attempts and their measured windows.

``runner.py`` has one trial after another, ``attempt.py`` one try at a trial, ``load.py`` its workload,
``guarded.py`` the window of a guarded guest. Attestation during a trial is in the modules of that
name and in ``appraisal_files.py``.
"""
