"""The report's section on responses."""
