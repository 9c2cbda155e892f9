"""Guests: bound to their host, continuous across migrations, never cloned or rolled back."""
