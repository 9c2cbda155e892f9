"""The report's section on responses.

``section.py`` puts it together from ``rows.py``: tables, every single response, the figure, and what
attesting at intervals costs.
"""
