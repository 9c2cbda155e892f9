"""What decides how fast a host runs besides its hardware: read on the host, parsed here.

``state_probe.py`` runs on the host and only reads; ``facts.py`` is pure.
"""
