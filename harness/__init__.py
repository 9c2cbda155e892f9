"""sodbench: what does it cost to move a running virtual machine to safety?

The package drives a pair of KVM hosts, keeps a workload running in a guest, migrates the guest on a
schedule, and turns the recorded evidence into metrics and reports. ``docs/architecture.md`` shows the rooms.
"""

__version__ = "0.1.0"
