"""What sodbench is made of (`make sbom`), and whether a part of it is known to be vulnerable (`make audit`).

The tools stand in ``requirements.in`` and are pinned in ``requirements.txt``. They have an environment of
their own, because the project needs none of what they need.
"""
