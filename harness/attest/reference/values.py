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
    happened: dict[int, tuple[str, ...]] = {}
    if require.event_log == "check" and evidence.event_log is not None:
        happened = _events(evidence.event_log, bank, signed)
    logged = require.event_log == "check" and evidence.event_log is not None
    # Where a PCR's whole value is recorded too, it says the order already.
    ordered: dict[int, tuple[tuple[str, ...], ...]] = {
        index: (found,) for index, found in happened.items() if index not in pcrs.get(bank, {})
    }
    files: dict[str, tuple[str, ...]] = {}
    if require.ima == "check" and evidence.ima is not None:
        files = _files(evidence, bank, signed)
    return ReferenceValues(
        version=1,
        firmware_versions=(f"{version:016x}",),
        pcrs=pcrs,
        events={bank: {index: _union(found) for index, found in happened.items()}} if logged else {},
        event_sequences={bank: ordered} if ordered else {},
        ima=ImaReference(files=files),
    )


def merge(first: ReferenceValues, second: ReferenceValues) -> ReferenceValues:
    """What either of the two accepts, in a fixed order; for platforms that may look one way or the other.

    PCR values that were recorded together stay together: one of the first with one of the second is a
    platform that never was. Where one of the two does not say which belong together, as in older files with
    several values of a PCR, nor does the outcome; likewise for the order of a PCR's events.
    """
    return ReferenceValues(
        version=1,
        firmware_versions=_union(first.firmware_versions, second.firmware_versions),
        pcrs=_merged_banks(first.pcrs, second.pcrs),
        events=_merged_banks(first.events, second.events),
        event_sequences=_merged_sequences(first, second),
        pcr_combinations=_merged_combinations(first, second),
        ima=ImaReference(files=_merged(first.ima.files, second.ima.files)),
    )


def to_yaml(reference: ReferenceValues) -> str:
    """The text of a file that :func:`harness.attest.reference.files.reference` reads back equal.

    It is JSON in ASCII, which is YAML too: whatever characters a path has, they are read back. Each key has a
    line of its own, so that files can be compared.
    """
    content = reference.model_dump(mode="json")
    for newer in ("event_sequences", "pcr_combinations"):
        if not content[newer]:  # so that versions which do not know the key can read the file
            del content[newer]
    return "".join(_lines(content, "")) + "\n"


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
    """The digests, in order, of the events that are known to have happened: of PCRs that the log leads to."""
    digests: dict[int, list[str]] = {}
    parsed = eventlog.parse(log)
    led = eventlog.led_to(parsed, bank, signed)
    for event in parsed.events:
        if event.type != eventlog.EV_NO_ACTION and event.pcr in led:
            digests.setdefault(event.pcr, []).append(event.digests[bank].hex())
    return {index: tuple(found) for index, found in sorted(digests.items())}


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


def _merged_sequences(
    first: ReferenceValues, second: ReferenceValues
) -> dict[Bank, dict[int, tuple[tuple[str, ...], ...]]]:
    """The orders of either; none of a PCR whose events are free to come in any order in one of the two."""
    merged: dict[Bank, dict[int, tuple[tuple[str, ...], ...]]] = {}
    for bank in sorted({*first.event_sequences, *second.event_sequences}):
        sides = [(one.event_sequences.get(bank, {}), one.events.get(bank, {})) for one in (first, second)]
        indexes = sorted({index for ordered, _ in sides for index in ordered})
        merged[bank] = {
            index: tuple(sorted({one for ordered, _ in sides for one in ordered.get(index, ())}))
            for index in indexes
            if all(index in ordered or index not in events for ordered, events in sides)
        }
    return {bank: found for bank, found in merged.items() if found}


def _merged_combinations(
    first: ReferenceValues, second: ReferenceValues
) -> dict[Bank, tuple[dict[int, str], ...]]:
    """The combinations of either, for banks where there are several and both say which they are."""
    merged: dict[Bank, tuple[dict[int, str], ...]] = {}
    for bank in sorted({*first.pcrs, *second.pcrs}):
        sides = [_together(one, bank) for one in (first, second) if bank in one.pcrs]
        found = {tuple(sorted(one.items())) for side in sides if side for one in side}
        if None not in sides and len(found) > 1:
            merged[bank] = tuple(dict(one) for one in sorted(found))
    return merged


def _together(values: ReferenceValues, bank: Bank) -> tuple[dict[int, str], ...] | None:
    """The PCR values that belong together; None where these values do not say."""
    if bank in values.pcr_combinations:
        return values.pcr_combinations[bank]
    known = values.pcrs[bank]
    if any(len(digests) > 1 for digests in known.values()):
        return None
    return ({index: digest for index, (digest,) in known.items()},)
