"""The report's sections on migrations and the service."""
