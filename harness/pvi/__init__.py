"""Private virtual infrastructure: what keeps a guest in its owner's control on hosts of a provider.

The factory releases a guest to hosts that were just attested, and seals its secrets to them. This room uses
attestation and machines; it knows no registry, and states what it needs of one as protocols.
"""
