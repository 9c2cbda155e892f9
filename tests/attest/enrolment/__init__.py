"""Enrolment with real TPMs, and with attesters that lie."""
