"""Checks what a machine lacks, and names the remedy."""
