"""The attestations of a run as one tidy table: a row each, whatever came of it.

Nothing is summarised and nothing left out: an attestation that was refused, or not answered, is a row
with its reason, and what it lacks is empty and never 0. The same evidence gives the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from harness.attest.measures import timings
from harness.attest.measures.line import Attestation
from harness.attest.measures.timings import Exchange, Span, Timing
from harness.attest.reasons import Tier
from harness.clock import NS_PER_S
from harness.evidence.attempt import Attempt
from harness.evidence.events import AttestationStarted, WindowClosed
from harness.evidence.metric import NotMeasured

COLUMNS: Mapping[str, tuple[str, str]] = {
    "campaign": ("string", "The campaign's name."),
    "run": ("string", "The run: the name of its folder, `<utc>-<short id>`."),
    "trial": ("string", "The trial's id in the plan, such as `001-idle`."),
    "attempt": ("int64", "Which try at the trial, from 1."),
    "verdict": ("string", "The attempt's: `valid`, `invalid`, `unknown` or `skipped`; only `valid` counts "
                          "in summaries."),
    "trial_kind": ("string", "`migrations`, or `control` for a trial without any."),
    "workload": ("string", "The workload's name."),
    "repetition": ("Int64", "Which repetition of the workload, from 1."),
    "n": ("int64", "The attestation's number in its attempt, from 1 in the order they were written."),
    "subject": ("string", "Whose state was asked for: `a`, `b` or `guest`."),
    "kind": ("string", "`host`; `guest`: the guest alone; `linked`: the guest and the host it runs on, by "
                       "two quotes bound to each other."),
    "host": ("string", "Which host vouched for the guest; empty unless linked."),
    "key": ("string", "The attestation key: `ecc-p256` or `rsa-2048`."),
    "purpose": ("string", "`interval`: it was due; `gate`: the destination, and the guest where it still is, "
                "right before a migration; `arrival`: the guest, right after one."),
    "migration": ("Int64", "Which migration, for `gate` and `arrival`; empty elsewhere."),
    "epoch": ("Int64", "The guest's stay on one host that it belongs to; empty where there is none."),
    "phase": ("string", "`before`: no migration of the attempt had begun; `during`: it overlaps one, from "
                        "call to return; `after`: after one and overlapping none."),
    "t_s": ("float64", "When the nonce was sent, seconds after the trial's t = 0; negative in the baseline, "
                       "empty where the window never opened."),
    "tier": ("string", "The result: `affirming`, `warning`, `contraindicated` or `none`. The first two are "
                       "accepted."),
    "reason": ("string", "`accepted`, or the code of the first check that refused, or why no answer came."),
    "detail": ("string", "The same in words."),
    "NS": ("Int64", "Nonce sent, ns of the controller's CLOCK_MONOTONIC; so the next ones. The labels are "
                    "those of RFC 9334."),
    "EG": ("Int64", "Evidence generated, mapped from the attester's clock; of a linked attestation the "
                    "guest's quote."),
    "EG_uncertainty_ns": ("Int64", "EG is certain within ± this."),
    "EG_from": ("string", "What EG was mapped by: `clock`, samples of the machine's clock; `exchange`, "
                          "nothing but that it lies between question and answer. Always the latter for a "
                          "guest, whose clock stands still in every switch-over."),
    "ER": ("Int64", "Evidence relayed: it had arrived at the controller."),
    "RG": ("Int64", "Result generated: the verifier was done."),
    "RR": ("Int64", "Result relayed to who relies on it."),
    "RA": ("Int64", "Result appraised there."),
    "OP": ("Int64", "Operation performed that relies on it, such as the migration; empty where none did."),
    "RX": ("Int64", "Result expires."),
    "second_NS": ("Int64", "Linked only: the question to the host that vouches was sent; so the next ones."),
    "second_EG": ("Int64", "Its evidence was generated."),
    "second_EG_uncertainty_ns": ("Int64", "That is certain within ± this."),
    "second_ER": ("Int64", "Its evidence had arrived."),
    "latency_s": ("float64", "Attestation latency, RG - NS: the sum of the parts up to `verification_s`."),
    "transport_s": ("float64", "Transport both ways: (ER - NS) - (answered - received). For a guest that "
                               "is migrated meanwhile the switch-over counts here."),
    "attester_s": ("float64", "What the attester did but quote: answered - received, without `quote_s`."),
    "quote_s": ("float64", "TPM2_Quote: EG - quoting, in the attester's own clock."),
    "linking_s": ("float64", "Linked only: from the guest's evidence to the question to its host, the "
                  "guest's verification in between."),
    "second_transport_s": ("float64", "Linked only: the same of the host's quote; so the next two."),
    "second_attester_s": ("float64", "What the host's attester did but quote."),
    "second_quote_s": ("float64", "The host's TPM2_Quote."),
    "verification_s": ("float64", "RG - ER; of a linked attestation from the last evidence on. `steps` has "
                                  "its parts."),
    "relay_s": ("float64", "RR - RG."),
    "appraisal_s": ("float64", "RA - RR."),
    "age_s": ("float64", "Age of the evidence when it was acted on: OP - EG; of a linked attestation the "
                         "guest's, which is the older."),
    "age_uncertainty_s": ("float64", "That is certain within ± this."),
    "response_s": ("float64", "Response latency: OP - RG."),
    "retries": ("int64", "How often a quote was taken again because a PCR changed between quote and values."),
    "boot": ("string", "What the TPM's counters say since the last accepted quote: `first`, `same`, "
                       "`resume` or `reboot`; empty where the check was not reached."),
    "continuity": ("string", "After a migration: `accepted`, or the code of the check of the guest's "
                             "identity that refused; empty elsewhere."),
    "continuity_tier": ("string", "The tier of that verdict."),
    "same_key": ("boolean", "Whether the guest's attestation key before and after the migration is one."),
    "source": ("string", "The host the guest left."),
    "destination": ("string", "The host it is on."),
    "window_s": ("float64", "From the destination's quote to the migration that relied on it: OP - EG."),
    "window_uncertainty_s": ("float64", "That is certain within ± this."),
    "steps": ("string", "The verification's steps and the ns each took, a JSON object in their order; of "
                        "both quotes together where there are two."),
    "tpm": ("string", "The subject's TPM: `software` or `hardware`; empty where not recorded."),
    "tpm_manufacturer": ("string", "Its manufacturer, as it says itself."),
    "tpm_firmware": ("string", "Its firmware, as it says itself."),
    "host_tpm": ("string", "Linked only: the TPM of the host that vouches, `software` or `hardware`."),
    "access": ("string", "How the attester talks to the TPM, such as `ESAPI`; empty where not recorded."),
    "missing": ("string", "Why what is empty of stamps and durations is empty."),
    "rig": ("string", "`lab` or `pair`."),
    "accelerator": ("string", "`kvm` or `tcg`: what the guest ran under."),
}  # fmt: skip
"""The table's columns in order: pandas type and meaning."""

ACCEPTED = tuple(tier.value for tier in Tier if tier.believed)
"""The tiers of an attestation that is accepted."""


def rows(
    attempt: Attempt, records: Iterable[Attestation], common: Mapping[str, object]
) -> Iterator[dict[str, object]]:
    """One row an attestation of `attempt`, under what is `common` to all of the attempt."""
    spans = migrations(attempt)
    zero_ns = _zero(attempt)
    states = {(said.subject, said.guest): said for _, said in attempt.told(AttestationStarted)}
    for record in records:
        timing = timings.of(record, attempt.clocks)
        yield {
            **common,
            **_identity(record),
            "phase": timings.phase(record, spans),
            "t_s": None if zero_ns is None else (record.stamps.NS - zero_ns) / NS_PER_S,
            **_stamps(record, timing),
            **_durations(timing),
            **_continuity(record),
            "steps": json.dumps(timings.steps(record), separators=(",", ":")),
            **_state(record, states),
            "missing": "; ".join(timing.missing) or None,
        }


def migrations(attempt: Attempt) -> list[Span]:
    """When the attempt's migrations were called and returned; one that never returned lasts to the end."""
    found = []
    for migration in attempt.migrations:
        try:
            started_ns = migration.started_ns
        except NotMeasured:
            continue  # it was skipped: nothing was under way
        try:
            found.append((started_ns, migration.returned_ns))
        except NotMeasured:
            closed = attempt.all(WindowClosed)
            found.append((started_ns, max(started_ns, closed[0].t_ns if closed else started_ns)))
    return found


def _zero(attempt: Attempt) -> int | None:
    try:
        return attempt.window_ns
    except NotMeasured:
        return None


def _identity(record: Attestation) -> dict[str, object]:
    names = (
        "n", "subject", "kind", "host", "key", "purpose", "migration", "epoch", "tier", "reason", "retries",
        "boot",
    )  # fmt: skip
    of = {} if record.guest is None else {"guest": record.guest}
    return {**{name: getattr(record, name) for name in names}, **of, "detail": record.detail or None}


def _stamps(record: Attestation, timing: Timing) -> dict[str, object]:
    generated = None if timing.first is None else timing.first.generated
    second = None if timing.second is None else timing.second.generated
    stamps = record.stamps
    return {
        **{name: getattr(stamps, name) for name in ("NS", "ER", "RG", "RR", "RA", "OP", "RX")},
        "EG": generated and generated.at_ns,
        "EG_uncertainty_ns": generated and generated.uncertainty_ns,
        "EG_from": generated and generated.by,
        "second_NS": record.second and record.second.NS,
        "second_EG": second and second.at_ns,
        "second_EG_uncertainty_ns": second and second.uncertainty_ns,
        "second_ER": record.second and record.second.ER,
    }


def _durations(timing: Timing) -> dict[str, object]:
    names = ("latency", "linking", "verification", "relay", "appraisal", "age", "age_uncertainty", "response")
    return {
        **{f"{name}_s": _seconds(getattr(timing, f"{name}_ns")) for name in names},
        **_exchange("", timing.first),
        **_exchange("second_", timing.second),
    }


def _exchange(prefix: str, exchange: Exchange | None) -> dict[str, object]:
    return {
        f"{prefix}{name}_s": None if exchange is None else _seconds(getattr(exchange, f"{name}_ns"))
        for name in ("transport", "attester", "quote")
    }


def _seconds(span_ns: int | None) -> float | None:
    return None if span_ns is None else span_ns / NS_PER_S


def _continuity(record: Attestation) -> dict[str, object]:
    found = record.continuity
    if found is None:
        return {}
    return {
        "continuity": found.reason,
        "continuity_tier": found.tier,
        "same_key": found.same_key,
        "source": found.source,
        "destination": found.destination,
        "window_s": _seconds(found.window_ns),
        "window_uncertainty_s": _seconds(found.uncertainty_ns),
    }


def _state(
    record: Attestation, states: Mapping[tuple[str, str | None], AttestationStarted]
) -> dict[str, object]:
    """What the journal says of the TPMs that quoted."""
    own = states.get((record.subject, record.guest))
    return {
        "tpm": _tpm(own),
        "host_tpm": _tpm(states.get((record.host or "", None))),
        "tpm_manufacturer": own and own.manufacturer,
        "tpm_firmware": own and own.firmware,
        "access": own and own.access,
    }


def _tpm(state: AttestationStarted | None) -> str | None:
    if state is None or state.software is None:
        return None
    return "software" if state.software else "hardware"
