"""Metrics of migrations, computed from evidence.

Pure. One module for each question: the downtime is in ``switchover.py``, what the network saw in
``outage.py``, what the service lost in ``service.py`` and ``brownout.py``, data and rates in ``transfer.py``,
and the evacuation of several guests in ``evacuation.py``. ``metrics.py``, ``interval_metrics.py`` and
``trial_metrics.py`` declare what is measured of a migration, of an interval and of a trial.
"""
