"""Metrics of migrations, computed from evidence."""
