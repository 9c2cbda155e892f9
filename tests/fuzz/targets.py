"""What is fuzzed: each reader, valid samples to start from, and what it may answer to bytes that are none.

A reader takes what it is for, and refuses all else by the one error that it documents. Whatever it takes must
also survive what is done with it next, and must mean the same when it is written and read again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from harness.attest.attester.channel import Conversation, Inbox, Line
from harness.attest.attester.contract import Ask, AttesterError, Limits
from harness.attest.evidence import Evidence, ImaExcerpt, RefusedError
from harness.attest.logs import eventlog, ima
from harness.attest.played import logs, marshal
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reference import files as appraisal_file
from harness.attest.reference import values as reference
from harness.attest.tpm import keys, structures
from harness.attest.tpm.structures import ClockInfo, Selection
from harness.errors import InputFileError, RecordError, SodbenchError
from tests.fuzz import carried
from tests.synthetic.clocks import SteppedClock

ROOT: Final = Path(__file__).resolve().parents[2]
SAMPLE: Final = ROOT / "tests/attest/samples/guest-seabios-1.16"
KINDS: Final[tuple[Literal["ecc-p256", "rsa-2048"], ...]] = ("ecc-p256", "rsa-2048")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader.

    Attributes:
        read: Reads; raises nothing but `refusals`.
        refusals: The errors that the reader documents.
        seeds: Makes valid samples, all of which are read without a refusal.
    """

    read: Callable[[bytes], None]
    refusals: tuple[type[SodbenchError], ...]
    seeds: Callable[[], tuple[bytes, ...]]

    def consume(self, data: bytes) -> None:
        """Read anything; whatever comes out of here is a fault of the reader."""
        try:
            self.read(data)
        except self.refusals:
            return


# -- what a TPM marshals


def _attest(data: bytes) -> None:
    attest = structures.parse_attest(data)
    assert structures.parse_attest(marshal.attest(attest)) == attest


def _signature(data: bytes) -> None:
    signature = structures.parse_signature(data)
    assert structures.parse_signature(marshal.signature(signature)) == signature
    for tpm in _tpms():
        key = keys.AttestationKey.from_public(tpm.ak_public)
        assert not key.verify(signature, b"never signed")


def _public(data: bytes) -> None:
    public = structures.parse_public(data)
    assert structures.parse_public(marshal.public(public)) == public
    structures.name_of(data)
    with contextlib.suppress(RefusedError):  # not every key is one that attests
        keys.AttestationKey.from_public(data)


@cache
def _tpms() -> tuple[SoftwareTpm, ...]:
    return tuple(SoftwareTpm(kind) for kind in KINDS)


def _attest_seeds() -> tuple[bytes, ...]:
    clock = ClockInfo(clock_ms=2**40, reset_count=7, restart_count=1, safe=True)
    selections = (Selection(hash_alg=0xB, pcrs=(0, 23)), Selection(hash_alg=0xC, pcrs=()))
    tpm = _tpms()[0]
    several = tpm.attested(b"n" * 32, {0: bytes(32)}, clock=clock, selections=selections)
    other = tpm.attested(b"n" * 32, {0: bytes(32)}, type=0x8017, body=b"a certificate")
    return (*(tpm.evidence().attest for tpm in _tpms()), several, other)


def _signature_seeds() -> tuple[bytes, ...]:
    return tuple(tpm.evidence().signature for tpm in _tpms())


def _public_seeds() -> tuple[bytes, ...]:
    return tuple(public for tpm in _tpms() for public in (tpm.ak_public, tpm.ek_public))


# -- logs


def _event_log(data: bytes) -> None:
    log = eventlog.parse(data)
    spec = data[: len(data) - sum(_event_bytes(event) for event in log.events)]
    assert spec.startswith(bytes(4) + b"\3")
    for bank in ("sha256", "sha384"):
        if bank in log.spec.algorithms:
            values = eventlog.replay(log, "sha256" if bank == "sha256" else "sha384")
            assert all(len(value) == log.spec.algorithms[bank] for value in values.values())
            assert set(values) <= set(range(eventlog.PCRS))


def _event_bytes(event: eventlog.LogEvent) -> int:
    return 16 + sum(2 + len(digest) for digest in event.digests.values()) + len(event.data)


def _ima(form: Literal["binary", "ascii"], data: bytes) -> None:
    entries = ima.parse(ImaExcerpt(first=0, total=2**32, form=form, data=data))
    if form == "binary":
        assert sum(_ima_bytes(e) for e in entries) == len(data)
    state = ima.replay(ima.ImaState.start("sha256"), entries, bank="sha256", expected=bytes(32))
    assert state.entries == 0
    for entry in entries:
        entry.path.encode("utf-8")


def _ima_bytes(entry: ima.ImaEntry) -> int:
    """The length of a binary entry; the oldest template's data have no size, and their name no padding."""
    if entry.template == "ima":
        return 32 + len(entry.template) + sum(len(field) for field in entry.fields.values())
    return 32 + len(entry.template) + len(entry.template_data)


def _event_log_seeds() -> tuple[bytes, ...]:
    measured = [logs.startup_locality(3), *logs.boot(8)[1:]]
    crtm = logs.Measured(pcr=0, type=logs.EV_EFI_HCRTM_EVENT, data=b"HCRTM")
    return (
        (SAMPLE / "binary_bios_measurements").read_bytes(),
        logs.event_log(measured, ("sha1", "sha256", "sha384"), vendor=b"maker"),
        logs.event_log([crtm]),
        logs.event_log([]),
    )


def _ima_seeds(form: Literal["binary", "ascii"]) -> tuple[bytes, ...]:
    lines = [
        logs.Line(path=b"boot_aggregate"),
        logs.Line(path=b"/bin/a b", template="ima-sig", third=b"\3\2\4", algorithm="sha512"),
        logs.Line(path=b"kexec-cmdline", template="ima-buf", third=b"quiet"),
        logs.Line(path=b"/var/log/x", template="ima-sig", violation=True),
        logs.Line(path=b"/two\nlines", algorithm="sha1"),
    ]
    return ((SAMPLE / f"{form}_runtime_measurements").read_bytes(), logs.ima_list(lines, form))


# -- what an attester sends


class _Way:
    """An attester that answers every request with one line."""

    def __init__(self, inbox: Inbox, answer: str) -> None:
        self._inbox = inbox
        self._answer = answer

    def send(self, line: str) -> None:
        self._inbox.on_line(1, self._answer)

    def close(self, *, wait_s: float = 0.0) -> bool:
        self._inbox.on_close("closed")
        return True


class _Told(Conversation):
    def __init__(self, answer: str) -> None:
        super().__init__("an attester", SteppedClock(), Limits())
        self._answer = answer

    def _start(self, inbox: Inbox) -> Line:
        inbox.on_line(0, '{"ready": {}}')
        return _Way(inbox, self._answer)


def _evidence_line(data: bytes) -> None:
    """As the channel reads it: decoded with replacements, then judged as the answer to a quote."""
    ask = Ask(key="ecc-p256", nonce=b"n" * 32, pcrs=(0,))
    evidence = _Told(data.decode(errors="replace")).quote(ask).evidence
    assert Evidence.model_validate(evidence.to_json()) == evidence


def _evidence_seeds() -> tuple[bytes, ...]:
    with_logs = _tpms()[1].evidence(
        event_log=logs.event_log([]), ima=logs.excerpt([logs.Line(path=b"boot_aggregate")], "ascii")
    )
    answers = [*(tpm.evidence() for tpm in _tpms()), with_logs]
    return tuple(json.dumps({"id": 1, "ok": answer.to_json()}).encode() for answer in answers)


# -- files


def _policy(data: bytes) -> None:
    appraisal_file.policy(data.decode(errors="replace"), "policy.yml")


def _reference(data: bytes) -> None:
    values = appraisal_file.reference(data.decode(errors="replace"), "reference.yml")
    assert appraisal_file.reference(reference.to_yaml(values), "again.yml") == values


def _policy_seeds() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((ROOT / "policies").glob("*.yml")))


def _reference_seeds() -> tuple[bytes, ...]:
    digest = "ab" * 32
    return (
        b"version: 1\n",
        (
            f"version: 1\nfirmware_versions: ['0000000000000001']\npcrs:\n  sha256:\n    0: ['{digest}']\n"
            f"events:\n  sha256:\n    4: ['{digest}']\nima:\n  files:\n    /usr/bin/a: ['sha256:{digest}']\n"
        ).encode(),
    )


TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "attest": Target(read=_attest, refusals=(RefusedError,), seeds=_attest_seeds),
        "signature": Target(read=_signature, refusals=(RefusedError,), seeds=_signature_seeds),
        "public": Target(read=_public, refusals=(RefusedError,), seeds=_public_seeds),
        "event-log": Target(read=_event_log, refusals=(RefusedError,), seeds=_event_log_seeds),
        "ima-binary": Target(
            read=partial(_ima, "binary"), refusals=(RefusedError,), seeds=partial(_ima_seeds, "binary")
        ),
        "ima-ascii": Target(
            read=partial(_ima, "ascii"), refusals=(RefusedError,), seeds=partial(_ima_seeds, "ascii")
        ),
        "evidence": Target(read=_evidence_line, refusals=(AttesterError,), seeds=_evidence_seeds),
        "policy": Target(read=_policy, refusals=(InputFileError,), seeds=_policy_seeds),
        "reference": Target(read=_reference, refusals=(InputFileError,), seeds=_reference_seeds),
        "certificates": Target(
            read=carried.certificates, refusals=(RefusedError,), seeds=carried.certificate_seeds
        ),
        "certified": Target(read=carried.certified, refusals=(RefusedError,), seeds=carried.certified_seeds),
        "token": Target(read=carried.token, refusals=(RefusedError,), seeds=carried.token_seeds),
        "evidence-file": Target(read=carried.kept, refusals=(RecordError,), seeds=carried.kept_seeds),
    }
)
"""The readers by the name that ``python -m tests.fuzz`` takes."""
