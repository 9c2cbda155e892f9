"""Security on demand: what a customer asks of a server, what a server can do now, and which servers fit."""
