"""Every check that closes an attack is taken out once, and the attack then breaks through."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from harness.attest.attester import bounds
from harness.attest.attester.channel import Inbox
from harness.attest.attester.contract import AttesterError, CreatedKey, Identity
from harness.attest.evidence import EkType, KeyType, RefusedError
from harness.attest.examine.outcome import Asked
from harness.attest.examine.round import Examiner
from harness.attest.identity import authorities, enrolment
from harness.attest.played.platform import judged, platform
from harness.attest.played.software_tpm import SoftwareTpm, changed
from harness.attest.reasons import Reason, Tier
from harness.attest.reference import values
from harness.attest.tokens import ear
from harness.clock import NS_PER_S, MonotonicClock
from harness.registry.audit import anchors as anchors_module
from harness.registry.audit.anchors import Anchors
from harness.registry.audit.audit import Audit
from harness.registry.audit.chain import AuditError, AuditHead, Chain
from harness.registry.errors import RegistryError
from harness.registry.registry import look, open_registry, sqlite_url
from harness.rig.lines import LineCutter, last_line
from tests.attest.adversary import enrolment_cases
from tests.attest.attesters import SoftwareAttester
from tests.attest.test_round import Bench
from tests.security.removed import Attack, Removed, case, require_needed


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


def two_enrolments(folder: Path) -> bool:
    """Another enrolment comes while keys are made, which would take the place of these."""
    tpm, url, kept_out = SoftwareTpm("rsa-2048"), sqlite_url(folder / "registry.sqlite"), list[bool]()

    class Meanwhile(SoftwareAttester):
        def identify(self) -> Identity:
            return enrolment_cases.denying(tpm.ek_public)

        def create_key(self, key: KeyType, *, ek: EkType | None = None) -> CreatedKey:
            with open_registry(url, wait_s=0.1) as other:
                try:
                    with other.enrolling():
                        kept_out.append(False)
                except RegistryError:
                    kept_out.append(True)
            raise AttesterError(Reason.TPM_GONE)

    request = enrolment.Request(name="a", kind="host", trusted_ek=sha256(tpm.ek_public).hexdigest())
    with open_registry(url) as registry, contextlib.suppress(AttesterError):
        enrolment.enrol(Meanwhile(tpm, MonotonicClock()), registry, request, MonotonicClock())
    return kept_out == [True]


def rewritten_log(folder: Path) -> bool:
    """A whole registry is written again, with a log that is sound in itself."""
    file = folder / "registry.sqlite"
    anchors = Anchors(file=folder / "anchors", key=folder / "key.pem", wall_ns=lambda: 1)
    for kept in (anchors, None):
        file.unlink(missing_ok=True)
        with open_registry(sqlite_url(file), anchors=kept) as registry:
            registry.audit.append("alarm", "a", {"again": kept is None})
            registry.audit.append("alarm", "a", {"again": kept is None})
    return _unsound(file, anchors)


def shortened_log(folder: Path) -> bool:
    """A registry is put back to an older state."""
    file = folder / "registry.sqlite"
    anchors = Anchors(file=folder / "anchors", key=folder / "key.pem", wall_ns=lambda: 1)
    with open_registry(sqlite_url(file)) as registry:
        registry.audit.append("alarm", "a", {})
        registry.audit.append("alarm", "a", {})
        anchors.add(registry.location, AuditHead(number=9, digest="0" * 64))
    return _unsound(file, anchors)


def dropped_trigger(folder: Path) -> bool:
    """A trigger is gone that keeps the log as it was written."""
    file = folder / "registry.sqlite"
    open_registry(sqlite_url(file)).close()
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("DROP TRIGGER audit_no_delete")
    return _unsound(file, Anchors(file=folder / "anchors", key=folder / "key.pem", wall_ns=lambda: 1))


def _unsound(file: Path, anchors: Anchors) -> bool:
    with look(sqlite_url(file)) as registry:
        try:
            registry.audit.verify(None, anchors.of(registry.location))
        except AuditError:
            return True
    return False


def forged_anchor(folder: Path) -> bool:
    """An anchor is altered."""
    anchors = Anchors(file=folder / "anchors", key=folder / "key.pem", wall_ns=lambda: 1)
    anchors.add("x", AuditHead(number=9, digest="0" * 64))
    anchors.file.write_text(anchors.file.read_text().replace('"number":9', '"number":1'))
    try:
        anchors.of("x")
    except AuditError:
        return True
    return False


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
    (
        Removed(function=enrolment.enrol, check="with registry.enrolling():", by="if True:"),
        two_enrolments,
    ),
    (
        Removed(function=Chain.add, check="!= {entry.digest}:", by="!= {entry.digest} and False:"),
        rewritten_log,
    ),
    (Removed(function=Chain.end, check="if last > self.head.number", by="if False"), shortened_log),
    (
        Removed(function=Audit.verify, check="guards.check(self._database, head.number)", by="pass"),
        dropped_trigger,
    ),
    (
        Removed(
            function=anchors_module._read,
            check="public.verify(signature, canonical(content).encode(), _ALGORITHM)",
            by="pass",
        ),
        forged_anchor,
    ),
    (Removed(function=bounds.check, check="require_few_parts(line, _PARTS)", by="pass"), many_parts),
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
    require_needed(removed, attack, tmp_path)
