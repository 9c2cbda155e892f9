"""A filter and a weigher for Nova's scheduler: a server starts where the protection it asks for is kept.

``filter.SodbenchFilter`` and ``weigher.SodbenchWeigher`` are thin: what they decide with is sodbench's own
policy core, the same files that the whole tool uses.
"""
