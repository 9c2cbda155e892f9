"""The report's sections on migrations and the service.

``answers.py`` has the report's head with Table V and the paper's, ``service.py`` what users noticed,
``moves.py`` every migration; ``charts.py``, ``curves.py``, ``scatters.py`` and ``timeline.py`` draw.
"""
