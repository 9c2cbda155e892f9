"""The gate: whether a run is worse than a baseline, by what its campaign declared beforehand.

:mod:`.declared` is what a campaign says, :mod:`.known_bad` what is excused and until when, :mod:`.judgement`
the statistics, :mod:`.rows` the one order of decisions, :mod:`.sides` what is refused before anything is
judged, :mod:`.documents` the outcome as JSON and JUnit XML.
"""
