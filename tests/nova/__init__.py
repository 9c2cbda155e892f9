"""Security on demand inside OpenStack."""
