"""A rig that is played: machines, hypervisors, a guest and its load that exist in this process alone.

It carries out whole campaigns in seconds, without root, and brings about orders of events that real machines
cannot be made to show. Nothing that it yields is a measurement: every result is marked as played.
"""
