"""The report as a value, and its renderings in HTML, Markdown and LaTeX.

``model.py`` is the value, ``render.py`` and the templates write it, ``escape.py`` keeps foreign text harmless
in each format, ``quantity.py`` writes numbers, ``drawing.py`` has the figures' style.
"""
