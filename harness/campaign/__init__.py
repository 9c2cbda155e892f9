"""Campaigns: what people write, the plan made of it, and the state of a run.

``file.py`` reads a campaign, ``plan.py`` expands it; both, and ``state.py``, touch no machine. ``run/``
carries a plan out, ``scenarios/`` has what happens to guarded guests.
"""
