"""Live migration through Nova: its notifications, what became of it, and where the time went. Pure."""
