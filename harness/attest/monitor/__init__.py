"""Re-attests machines at intervals and reports what changes.

``schedule.py`` and ``standing.py`` are pure: whom to look at next, and what a look changes. ``monitor.py``
runs the looks, ``shared.py`` lets one caller at a time ask a machine, ``outbox.py`` hands changes on, and
``kinds/`` has the monitors of architectures.
"""
