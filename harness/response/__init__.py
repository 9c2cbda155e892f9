"""The response to a change that endangers a running guest.

``decide/`` decides, as pure functions, that a guest must move and where it may go. ``act/`` watches, carries
out each decision once and proves the arrival. ``measures/`` computes what a response took.
"""
