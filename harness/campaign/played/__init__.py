"""What a played rig attests with: TPMs in software keys, their attesters, and a registry of the run's own.

This is the only part of a campaign that may import played attesters; it reaches no real machine.
"""
