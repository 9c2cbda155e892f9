"""A night: one command carries a campaign out, judges it, publishes it and clears older ones away."""
