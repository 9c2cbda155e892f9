"""Carries out a plan: runs, attempts and their measured windows."""
