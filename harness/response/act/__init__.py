"""Acts on decisions: looks, moves, proves and recovers."""
