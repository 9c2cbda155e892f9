"""The lab: two hosts and a client as containers on one machine.

``lab.py`` builds and removes it and writes its inventory; nothing outside this package knows that a rig is a
lab.
"""
