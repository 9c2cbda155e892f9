"""Reference values taken from a platform that is known to be good, so that no digest is written by hand.

The recorded values are what the platform was, not what it should be: the user who records them vouches for
it. This module must only be given evidence that was found genuine, and never widens hand-written values
without being told to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from harness.attest.evidence import Bank, Evidence
from harness.attest.logs import eventlog, ima
from harness.attest.logs.ima import ImaState
from harness.attest.reference.policy import IMA_PCR, AppraisalPolicy, ImaReference, ReferenceValues
from harness.attest.tpm.structures import parse_attest

Key = TypeVar("Key", int, str)


def record(evidence: Evidence, policy: AppraisalPolicy) -> ReferenceValues:
    """What this platform was, for each thing that the policy checks.

    PCR 10 is left out of the PCR values: it depends on the order in which files were used, and the IMA list
    explains it. Of the list only what the quote covers is taken, and no violation; nor is the boot aggregate,
    which is made of PCRs and no file.

    Raises:
        RefusedError: A log is malformed or does not lead to the PCRs, so that nothing good can be learnt.
    """
    require, bank = policy.require, policy.bank
    version = parse_attest(evidence.attest).firmware_version
    signed = {index: value for index, value in sorted(evidence.pcrs.items()) if index in policy.pcrs}
    pcrs: dict[Bank, dict[int, tuple[str, ...]]] = {}
    if require.pcr_values == "check":
        pcrs[bank] = {index: (value.hex(),) for index, value in signed.items() if index != IMA_PCR}
    events: dict[Bank, dict[int, tuple[str, ...]]] = {}
    if require.event_log == "check" and evidence.event_log is not None:
        events[bank] = _events(evidence.event_log, bank, signed)
    files: dict[str, tuple[str, ...]] = {}
    if require.ima == "check" and evidence.ima is not None:
        files = _files(evidence, bank, signed)
    return ReferenceValues(
        version=1,
        firmware_versions=(f"{version:016x}",),
        pcrs=pcrs,
        events=events,
        ima=ImaReference(files=files),
    )


def merge(first: ReferenceValues, second: ReferenceValues) -> ReferenceValues:
    """What either of the two accepts, in a fixed order; for platforms that may look one way or the other."""
    return ReferenceValues(
        version=1,
        firmware_versions=_union(first.firmware_versions, second.firmware_versions),
        pcrs=_merged_banks(first.pcrs, second.pcrs),
        events=_merged_banks(first.events, second.events),
        ima=ImaReference(files=_merged(first.ima.files, second.ima.files)),
    )


def to_yaml(reference: ReferenceValues) -> str:
    """The text of a file that :func:`harness.attest.reference.files.reference` reads back equal.

    It is JSON in ASCII, which is YAML too: whatever characters a path has, they are read back. Each key has a
    line of its own, so that files can be compared.
    """
    return "".join(_lines(reference.model_dump(mode="json"), "")) + "\n"


def _lines(value: object, indent: str) -> Iterator[str]:
    if not isinstance(value, dict) or not value:
        yield json.dumps(value)
        return
    inner = f"{indent} "
    yield "{"
    for number, (key, item) in enumerate(value.items()):
        yield f"{',' if number else ''}\n{inner}{json.dumps(key)}: "
        yield from _lines(item, inner)
    yield f"\n{indent}}}"


def _events(log: bytes, bank: Bank, signed: Mapping[int, bytes]) -> dict[int, tuple[str, ...]]:
    """The digests of the events that are known to have happened: of PCRs that the log leads to."""
    digests: dict[int, list[str]] = {}
    parsed = eventlog.parse(log)
    led = eventlog.led_to(parsed, bank, signed)
    for event in parsed.events:
        if event.type != eventlog.EV_NO_ACTION and event.pcr in led:
            digests.setdefault(event.pcr, []).append(event.digests[bank].hex())
    return {index: _union(found) for index, found in sorted(digests.items())}


def _files(evidence: Evidence, bank: Bank, signed: Mapping[int, bytes]) -> dict[str, tuple[str, ...]]:
    """The files in the list up to the quote, as far as it vouches for them, in the order of their paths."""
    excerpt = evidence.ima
    if excerpt is None:
        return {}
    entries = ima.parse(excerpt)
    expected, start = signed[IMA_PCR], ImaState.start(bank)
    state = ima.replay(start, entries, bank=bank, expected=expected, first=excerpt.first)
    others = ima.follow({}, entries, state.entries, bank, signed)
    vouched = {IMA_PCR, *others.vouched}
    digests: dict[str, list[str]] = {}
    for entry in entries[: others.count]:
        if entry.pcr not in vouched or not entry.known or entry.violation:
            continue
        if entry.path != ima.BOOT_AGGREGATE:
            digests.setdefault(entry.path, []).append(f"{entry.file_hash_alg}:{entry.file_digest.hex()}")
    return {path: _union(found) for path, found in sorted(digests.items())}


def _union(*parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({one for part in parts for one in part}))


def _merged_banks(
    first: Mapping[Bank, Mapping[int, tuple[str, ...]]], second: Mapping[Bank, Mapping[int, tuple[str, ...]]]
) -> dict[Bank, dict[int, tuple[str, ...]]]:
    banks = sorted({*first, *second})
    return {bank: _merged(first.get(bank, {}), second.get(bank, {})) for bank in banks}


def _merged(*parts: Mapping[Key, tuple[str, ...]]) -> dict[Key, tuple[str, ...]]:
    keys = sorted({key for part in parts for key in part})
    return {key: _union(*(part.get(key, ()) for part in parts)) for key in keys}
