"""The machines of a rig: how they are described, reached, built, provisioned and given back."""
