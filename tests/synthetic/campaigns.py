"""Campaigns and workloads for tests: valid ones to start from, without any installed package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import BaseModel, ConfigDict

from harness.campaign.file import loads
from harness.campaign.model import Campaign
from harness.workloads.contract import Workload

MINIMAL = """\
name: small
workloads: [idle, file]
schedule:
  window_s: 60
  points_s: [0, 12, 24]
"""


class IdleOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileOptions(BaseModel):
    """Without extra=forbid, as a careless plug-in would have it."""

    clients: int = 1


class FakeIdle:
    Options = IdleOptions


class FakeFile:
    Options = FileOptions


REGISTRY = cast("Mapping[str, type[Workload]]", {"idle": FakeIdle, "file": FakeFile})


def campaign(text: str = "", *, base: str = MINIMAL) -> Campaign:
    """The minimal campaign with more lines after it."""
    return loads(base + text, "test.yml", REGISTRY)
