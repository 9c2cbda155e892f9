"""The file of a night: which campaign, on which rig, against which baseline, published where.

Paths in it are relative to the file. Reading touches nothing but the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from harness import resources
from harness.errors import CampaignError, InputFileError
from harness.strict import Strict
from harness.yaml_model import file_schema, refusal, validated
from harness.yaml_source import Problem, parse, read_text

Named = Annotated[str, Field(min_length=1, max_length=4096)]


class NightlyError(InputFileError):
    """The file of a night is wrong; nothing was touched."""

    kind = "nightly"


class NightlyFile(Strict):
    """What a person writes."""

    campaign: Named = Field(description="a campaign's file, or the name of a ready-made one")
    inventory: Named | None = Field(
        default=None, description="the rig's Ansible inventory; left out: the campaign's rig"
    )
    rig: Literal["played"] | None = Field(
        default=None, description="played: on played machines, which measures nothing"
    )
    script: Named | None = Field(default=None, description="what a played rig plays")
    results: Named = Field(default="results", description="where runs are stored")
    baseline: Named | None = Field(
        default=None, description="the run that the gate compares with, its folder or an archive of it"
    )
    key: Named | None = Field(
        default=None,
        description="the public key that an archived baseline is signed with; left out: your own",
    )
    known_bad: Named | None = Field(default=None, description="known-bad entries of the gate")
    accept: tuple[Named, ...] = Field(
        default=(), strict=False, max_length=100, description="keys that may differ from the baseline"
    )
    publish: Named = Field(description="the folder of the page, the reports and the nights' records")
    keep: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="how many nights' runs and reports are kept; left out: all"
    )
    wait_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        default=3600.0, description="s to wait in all for another night, or another user of the rig, to end"
    )
    tune: bool = Field(default=False, description="whether the hosts are tuned for the run")


class Nightly(Strict):
    """The file with its paths resolved: what :class:`NightlyFile` says, as places of this machine."""

    file: Path
    campaign: Path
    inventory: Path | None
    played: bool
    script: Path | None
    results: Path
    baseline: Path | None
    key: Path | None
    known_bad: Path | None
    accept: tuple[str, ...]
    publish: Path
    keep: int | None
    wait_s: float
    tune: bool

    @property
    def nights(self) -> Path:
        """The folder of the nights' records, and of the lock that keeps two of them apart."""
        return self.publish / "nights"


def load(path: Path) -> Nightly:
    """The night described at `path`.

    Raises:
        CampaignError: There is no such campaign.
        InputFileError: The file cannot be read; as :class:`NightlyError`: something in it is wrong.
    """
    source = parse(read_text(path))
    found, problems = validated(NightlyFile, source)
    if found is not None:
        problems = tuple(
            Problem(line=source.line((key,)), path=key, text=text) for key, text in _clashes(found)
        )
    if found is None or problems:
        raise refusal(problems, str(path), NightlyError, "nothing was touched")
    return _resolved(found, path.absolute())


def _clashes(found: NightlyFile) -> list[tuple[str, str]]:
    """What does not go together: the key, and why."""
    clashes = []
    if found.rig == "played" and found.inventory is not None:
        clashes.append(("inventory", "a played rig has no inventory"))
    if found.rig == "played" and found.tune:
        clashes.append(("tune", "a played rig has no hosts to tune"))
    if found.rig is None and found.script is not None:
        clashes.append(("script", "a script is played, and this rig is not; add `rig: played`"))
    without = [key for key in ("key", "known_bad", "accept") if getattr(found, key)]
    if found.baseline is None and without:
        clashes.append((without[0], "belongs to a gate, and there is none without a baseline"))
    return clashes


def _resolved(found: NightlyFile, file: Path) -> Nightly:
    def place(named: str) -> Path:
        return file.parent / named

    def optional(named: str | None) -> Path | None:
        return None if named is None else place(named)

    return Nightly(
        file=file,
        campaign=_campaign(found.campaign, file.parent),
        inventory=optional(found.inventory),
        played=found.rig == "played",
        script=optional(found.script),
        results=place(found.results),
        baseline=optional(found.baseline),
        key=optional(found.key),
        known_bad=optional(found.known_bad),
        accept=found.accept,
        publish=place(found.publish),
        keep=found.keep,
        wait_s=found.wait_s,
        tune=found.tune,
    )


def _campaign(named: str, folder: Path) -> Path:
    own, ready = folder / named, resources.campaigns()
    found = own if own.is_file() else resources.chosen(named, ready)
    if found is None:
        raise CampaignError("no such campaign", where=str(own), remedy=resources.unmet(named, ready))
    return found


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of such a file, for editors."""
    return file_schema(NightlyFile)
