"""Answers computed from stored results: the table of metrics, series and statistics.

``table.py`` asks every metric of every finished attempt, ``series.py`` makes the tables behind figures,
``stats/`` compares, ``glossary.py`` puts every column into words. Nothing here touches a machine.
"""
