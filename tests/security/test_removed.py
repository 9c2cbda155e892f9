"""Every check that closes an attack is taken out once, and the attack then breaks through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attest.attester import bounds
from harness.attest.attester.channel import Inbox
from harness.attest.evidence import RefusedError
from harness.attest.examine.outcome import Asked
from harness.attest.examine.round import Examiner
from harness.attest.identity import authorities, enrolment
from harness.attest.played.platform import judged, platform
from harness.attest.played.software_tpm import SoftwareTpm, changed
from harness.attest.reasons import Reason, Tier
from harness.attest.reference import values
from harness.attest.tokens import ear
from harness.clock import NS_PER_S
from harness.registry.registry import open_registry, sqlite_url
from harness.rig.lines import LineCutter, last_line
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


def many_parts(_folder: Path) -> bool:
    """JSON of many small parts is not read as JSON."""
    try:
        bounds.check("{" + ",".join(f'"{number}":[]' for number in range(20_000)) + "}")
    except ValueError:
        return True
    return False


def wide_text(_folder: Path) -> bool:
    """One wide character in a long text is not read as JSON."""
    try:
        bounds.check('{"a":"\\ud83d\\ude00' + "x" * 2 * bounds.SMALL_BYTES + '"}')
    except ValueError:
        return True
    return False


def second_line(_folder: Path) -> bool:
    """A line comes while one waits."""
    inbox = Inbox()
    inbox.on_line(0, "an answer")
    try:
        inbox.on_line(1, "more")
    except OSError:
        return True
    return False


def long_line(_folder: Path) -> bool:
    """A line has no end."""
    inbox = Inbox()
    cutter = LineCutter(inbox.on_line, inbox.fits)
    try:
        for _ in range(40):
            cutter.feed(0, bytes(65536))
    except OSError:
        return inbox.too_long
    return False


def not_ascii(_folder: Path) -> bool:
    """A long line has one wide character."""
    try:
        LineCutter(lambda _ns, _line: None, lambda _bytes: True).feed(
            0, "\U0001f600".encode() * 2**19 + b"\n"
        )
    except OSError:
        return True
    return False


def endless_complaints(_folder: Path) -> bool:
    """A standard error has no end, so far as 64 MiB tell."""
    left = [bytes(65536)] * 1000
    try:
        last_line(lambda _count: left.pop() if left else b"")
    except OSError:
        return True
    return False


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
    (
        Removed(function=values.merge, check="_merged_combinations(first, second)", by="{}"),
        case("pcrs-new-firmware-old-loader"),
    ),
    (Removed(function=bounds.check, check="if parts > _PARTS:", by="if False:"), many_parts),
    (Removed(function=bounds.check, check="> _WIDE_CHARACTERS", by="> 2**40"), wide_text),
    (Removed(function=Inbox.on_line, check="if self._lines:", by="if False:"), second_line),
    (Removed(function=Inbox.fits, check="size_bytes > self.limit_bytes", by="False"), long_line),
    (
        Removed(
            function=LineCutter.feed,
            check="self._held_bytes += len(rest)\n        self._bound(self._held_bytes)",
            by="self._held_bytes += len(rest)",
        ),
        long_line,
    ),
    (Removed(function=LineCutter.feed, check="not whole.isascii()", by="False"), not_ascii),
    (
        Removed(function=last_line, check="if total_bytes > MOST_COMPLAINT_BYTES:", by="if False:"),
        endless_complaints,
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
