"""Every check that closes an attack is taken out once, and the attack then breaks through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attest.evidence import RefusedError
from harness.attest.examine.outcome import Asked
from harness.attest.examine.round import Examiner
from harness.attest.identity import authorities, enrolment
from harness.attest.played.platform import judged, platform
from harness.attest.played.software_tpm import SoftwareTpm, changed
from harness.attest.reasons import Reason, Tier
from harness.attest.tokens import ear
from harness.clock import NS_PER_S
from harness.registry.registry import open_registry, sqlite_url
from tests.attest.adversary import table
from tests.attest.adversary.stage import Stage
from tests.attest.test_round import Bench
from tests.security.removed import Removed, gone

Attack = Callable[[Path], bool]
"""Carries an attack out, with a folder for its files; whether it was noticed."""


def case(name: str) -> Attack:
    """An attack of the adversary's table."""
    found = next(one for one in table.CASES if one.id == name)

    def noticed(_folder: Path) -> bool:
        return table.said(found.forge(Stage(found.kinds[0]))) == found.expected

    return noticed


def _benched(folder: Path, judge: Callable[[Bench, Asked], object]) -> bool:
    """Whether an honest machine is still affirmed after `judge` has seen evidence of it from a file."""
    with open_registry(sqlite_url(folder / "registry.sqlite")) as registry:
        bench = Bench(registry, "ecc-p256")
        asked = bench.examiner.ask("a", bench.host, key=bench.key)
        with contextlib.suppress(RefusedError):
            judge(bench, asked)
        return bench.examiner.examine("a", bench.host, key=bench.key).result.tier is Tier.AFFIRMING


def altered_file(folder: Path) -> bool:
    """Bytes of a signature are changed in a file of evidence."""

    def judge(bench: Bench, asked: Asked) -> None:
        sent = asked.answer.evidence
        signature = sent.signature[:-1] + bytes([sent.signature[-1] ^ 1])
        bench.examiner.judge("a", asked.challenge, changed(sent, signature=signature))

    return _benched(folder, judge)


def file_judged_twice(folder: Path) -> bool:
    """Two judge one file: the second must say nothing of the machine."""
    refused = list[Reason]()

    def judge(bench: Bench, asked: Asked) -> None:
        bench.examiner.judge("a", asked.challenge, asked.answer.evidence)
        try:
            bench.examiner.judge("a", asked.challenge, asked.answer.evidence)
        except RefusedError as error:
            refused.append(error.reason)

    return _benched(folder, judge) and refused == [Reason.NONCE_REUSED]


def old_file(folder: Path) -> bool:
    """A file is judged after newer evidence: what is newer counts on."""

    def judge(bench: Bench, asked: Asked) -> None:
        bench.examiner.examine("a", bench.host, key=bench.key)
        try:
            bench.examiner.judge("a", asked.challenge, asked.answer.evidence)
        except RefusedError as error:
            assert error.reason is Reason.STATE_CONFLICT, error.reason

    try:
        return _benched(folder, judge)
    except AssertionError:
        return False


def late_token(_folder: Path) -> bool:
    """A result is written as a token 8 s after it was generated."""
    result = judged(platform(SoftwareTpm("ecc-p256"))).result
    now_ns = result.generated_ns + 8 * NS_PER_S
    return ear.issued_at_s(result, now_ns=now_ns, realtime_ns=100 * NS_PER_S) == 92


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(function=enrolment.facts, check=" or authorities.from_machine", by=""),
        case("chip-by-its-own-machine"),
    ),
    (
        Removed(function=authorities.of_machine, check="replace(found, from_machine=True)", by="found"),
        case("chip-by-its-own-machine"),
    ),
    (
        Removed(
            function=Examiner.judge,
            check="if not done.accepted or known.key is None:",
            by="self._kept(name, done, known)\n        if not done.accepted or known.key is None:",
        ),
        altered_file,
    ),
    (
        Removed(
            function=Examiner.judge,
            check='raise _no_verdict(name, Reason.NONCE_REUSED, "an answer to it was judged before")',
            by="pass",
        ),
        file_judged_twice,
    ),
    (
        Removed(
            function=Examiner.judge,
            check="if self._overtaken(name, asked):",
            by="if False:",
        ),
        old_file,
    ),
    (
        Removed(
            function=ear.issued_at_s,
            check="(realtime_ns - (now_ns - result.generated_ns))",
            by="realtime_ns",
        ),
        late_token,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "without").mkdir()
    assert attack(tmp_path / "whole")
    with gone(removed):
        assert not attack(tmp_path / "without")
