"""A site's own OpenStack, reached through its APIs; nothing is installed there by this code."""
