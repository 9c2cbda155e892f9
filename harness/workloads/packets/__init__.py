"""Packet captures, and the RTP streams in them."""
