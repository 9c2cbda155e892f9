"""Requests and servers as a Nova cloud keeps them: in servers' metadata, in aggregates' metadata, as traits.

All of it is pure, and runs inside Nova's scheduler: it needs the standard library and sortedcontainers. The
filter itself is a distribution of its own, in ``openstack/filter``.
"""
