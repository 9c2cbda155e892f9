"""The metrics that a campaign's gate can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.evidence.metric import Metric, extensions
from harness.migration.measures import interval_metrics, metrics
from harness.response.measures import metrics as response_metrics


def known_metrics() -> Mapping[str, Metric[Any]]:
    """Every metric of a migration by its name, those of other packages included."""
    every: list[Metric[Any]] = [*metrics.METRICS, *interval_metrics.METRICS, *response_metrics.METRICS]
    every += extensions()
    return {metric.name: metric for metric in every if metric.scope != "trial"}
