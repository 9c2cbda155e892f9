"""The lab: two hosts and a client as containers on one machine."""
