"""Acts on decisions: looks, moves, proves and recovers.

``loop.py`` has the turns, ``responder.py`` carries a decision out through ``mover.py`` and ``prover.py``,
``recoverer.py`` ends what a controller that died left open. ``guard.py`` puts the parts together.
"""
