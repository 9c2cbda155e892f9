"""TPM 2.0 structures, algorithms, keys and credentials.

Pure. ``cursor.py`` reads bytes within bounds, ``structures.py`` and ``keys.py`` have the layouts of the TPM
2.0 Library, Part 2, and ``credential.py`` makes the credentials that enrolment sends.
"""
