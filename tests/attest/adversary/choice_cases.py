"""Hosts to choose from when a guest has to move, and none of them good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.attest.reasons import Reason
from harness.attest.verdict import NOTHING_KNOWN
from harness.clock import NS_PER_S
from harness.policy.capability_file import load_table
from harness.policy.fleet import Fleet
from harness.policy.request import request
from harness.policy.server import Server
from harness.policy.validation import relocate
from tests.attest.adversary.case import grouped
from tests.attest.adversary.stage import NOW_NS, Asked, Stage

TABLE = load_table()
ASKED = request(["6:c"])
"""Something that a TPM protects, so that evidence alone decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Hosts to choose from, by what is known of each; None where nothing is. The guest is on ``source``."""

    hosts: Mapping[str, Asked | None]
    after_s: float = 0.0

    def judge(self) -> str:
        results = {
            name: None if scene is None else scene.verify().result for name, scene in self.hosts.items()
        }
        ends = [one.expires_ns for one in results.values() if one is not None]
        now_ns = (max(ends) if self.after_s else NOW_NS) + round(self.after_s * NS_PER_S)
        known = [
            Server(name=name, architecture="TPM", verdict=NOTHING_KNOWN if one is None else one.verdict)
            for name, one in results.items()
        ]
        found = relocate(ASKED, Fleet(TABLE, known), "source", now_ns)
        return (found.reason or Reason.ACCEPTED).value


def _bad(stage: Stage) -> Asked:
    return stage.honest().asked(held=True)


CASES = grouped(
    "policy",
    (
        "one-good-host",
        Reason.ACCEPTED,
        "One good host beside a bad one and one that nothing is known of",
        lambda stage: Choice(
            hosts={"source": stage.honest(), "b": _bad(stage), "c": None, "d": stage.honest()}
        ),
    ),
    (
        "no-good-host",
        Reason.NO_ELIGIBLE_HOST,
        "Every other host is bad",
        lambda stage: Choice(hosts={"source": stage.honest(), "b": _bad(stage), "c": _bad(stage)}),
    ),
    (
        "only-the-source-is-good",
        Reason.NO_ELIGIBLE_HOST,
        "The only good host is the one to be left",
        lambda stage: Choice(hosts={"source": stage.honest()}),
    ),
    (
        "nothing-is-known",
        Reason.NO_ELIGIBLE_HOST,
        "The verifier was down: no host has a result",
        lambda stage: Choice(hosts={"source": stage.honest(), "b": None, "c": None}),
    ),
    (
        "good-until-a-moment-ago",
        Reason.NO_ELIGIBLE_HOST,
        "All results have expired together",
        lambda stage: Choice(
            hosts={"source": stage.honest(), "b": stage.honest(), "c": stage.honest()}, after_s=0.001
        ),
    ),
    (
        "only-warned-of",
        Reason.NO_ELIGIBLE_HOST,
        "The only other host has a warning, which nobody said to take",
        lambda stage: Choice(
            hosts={
                "source": stage.honest(),
                "b": stage.honest().asked(software_tpm=True).under(software_tpm="warn"),
            }
        ),
    ),
)
