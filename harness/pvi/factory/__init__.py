"""The factory: the root authority of one private virtual infrastructure, on a machine of its owner's.

:mod:`harness.pvi.factory.factory` makes one and uses it; the other modules are values and pure functions.
"""
