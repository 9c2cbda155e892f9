"""Revisions of the registry's schema, in the order that each names its predecessor."""
