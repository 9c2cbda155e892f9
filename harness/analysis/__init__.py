"""Answers computed from stored results: the table of metrics, series and statistics."""
