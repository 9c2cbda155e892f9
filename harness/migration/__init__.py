"""Moving the guest: when (schedule), how (options), by libvirt (driver), and what it cost (measures)."""
