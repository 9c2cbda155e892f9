"""Attacks on the product as a whole, and checks that are removed to see whether an attack notices."""
