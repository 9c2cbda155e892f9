"""The response: a change endangers a running VM; it is decided purely what to do, and done once."""
