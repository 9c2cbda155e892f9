"""Metrics of responses, computed from evidence."""
