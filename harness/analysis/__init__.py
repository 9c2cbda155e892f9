"""Values computed from stored results: the table of metrics, series and statistics.

``table.py`` computes every metric of every finished attempt, ``series.py`` the tables behind figures,
``stats/`` compares, ``glossary.py`` describes every column. Nothing here touches a machine.
"""
