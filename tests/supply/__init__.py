"""What the project is made of, and the audit of it."""
