"""Campaigns: what people write, the plan made of it, and the state of a run."""
