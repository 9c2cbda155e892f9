"""Attesters for tests, benchmarks and played rigs: software keys with logs, and programs of this machine.

Nothing that judges a real machine imports from here.
"""
