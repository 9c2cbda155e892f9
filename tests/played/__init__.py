"""Whole campaigns on played machines: what orders of events the lab cannot be made to show."""
