"""All runs of a campaign over time: one value of each metric a night, and where its course changes.

`nights.py` reads the runs, `changes.py` (pure) finds changes in one series, `course.py` (pure) joins both.
"""
