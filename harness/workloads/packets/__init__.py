"""Packet captures, and the RTP streams in them.

Pure: lines of tshark in, losses and gaps out.
"""
