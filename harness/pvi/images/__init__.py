"""Master images of application servers: imported and encrypted once, signed, and checked at every use.

:mod:`harness.pvi.images.masters` imports and opens them, :mod:`harness.pvi.images.overlays` makes guests'
disks on top of them.
"""
