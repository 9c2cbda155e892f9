"""What a machine should be: appraisal policies and reference values.

``policy.py`` and ``values.py`` are the models, ``files.py`` reads them from YAML with line numbers.
"""
