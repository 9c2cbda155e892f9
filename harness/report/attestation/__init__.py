"""The report's section on attestation.

``section.py`` puts it together from ``rows.py``: tables, figures, identity, attacks and the verification's
cost.
"""
