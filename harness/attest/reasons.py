"""Why evidence was not accepted: one code for each check, and the trust tier that follows from it.

A code is stable, is stored with every result and is what a test of an attack asks for. "Refused" alone would
let a check that never runs hide behind its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Tier(StrEnum):
    """Trustworthiness tiers of AR4SI (draft-ietf-rats-ar4si, section 3.2)."""

    NONE = "none"
    AFFIRMING = "affirming"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"

    @property
    def believed(self) -> bool:
        """Whether the evidence was accepted, with or without a warning; :meth:`trusted` says what counts."""
        return self is Tier.AFFIRMING or self is Tier.WARNING

    @property
    def gravity(self) -> int:
        """The place in the one order of tiers, from 0 for the most trust to 3 for the least."""
        return _ORDER.index(self)

    def trusted(self, *, warning_counts: bool) -> bool:
        """Whether anything may be based on evidence of this tier.

        The one answer for all who choose a server, keep a guest on it, or take an arrival for proved.

        Args:
            warning_counts: Whether a warning is good enough, as the appraisal policy says.
        """
        return self is Tier.AFFIRMING or (self is Tier.WARNING and warning_counts)


_ORDER = (Tier.AFFIRMING, Tier.WARNING, Tier.NONE, Tier.CONTRAINDICATED)
"""From the most trust to the least: that nothing was learnt is worse than a warning."""


def gravest(tiers: Iterable[Tier]) -> Tier:
    """The tier with the least trust; ``none`` if there are no tiers."""
    return max(tiers, key=lambda one: one.gravity, default=Tier.NONE)


class Reason(StrEnum):
    """What the first failing check says; the comment before each group names the step."""

    ACCEPTED = "accepted"

    # 1 structure
    SIZE_LIMIT = "size-limit"
    MALFORMED_EVIDENCE = "malformed-evidence"
    MALFORMED_ATTEST = "malformed-attest"
    MALFORMED_SIGNATURE = "malformed-signature"
    TRAILING_BYTES = "trailing-bytes"
    # 2 scheme
    SCHEME_NOT_ALLOWED = "scheme-not-allowed"
    HASH_NOT_ALLOWED = "hash-not-allowed"
    SCHEME_MISMATCH = "scheme-mismatch"
    # 3 key
    KEY_UNKNOWN = "key-unknown"
    KEY_REVOKED = "key-revoked"
    KEY_ATTRIBUTES = "key-attributes"
    # 4 signature
    SIGNATURE_INVALID = "signature-invalid"
    # 5 origin
    NOT_TPM_GENERATED = "not-tpm-generated"
    NOT_A_QUOTE = "not-a-quote"
    QUALIFIED_SIGNER = "qualified-signer"
    # 6 freshness
    NONCE_SHORT = "nonce-short"
    NONCE_MISMATCH = "nonce-mismatch"
    NONCE_REUSED = "nonce-reused"
    NONCE_EXPIRED = "nonce-expired"
    # 7 selection
    SELECTION_EMPTY = "selection-empty"
    BANK_MISMATCH = "bank-mismatch"
    SELECTION_MISMATCH = "selection-mismatch"
    # 8 values
    PCR_OUTSIDE_SELECTION = "pcr-outside-selection"
    PCR_MISSING = "pcr-missing"
    PCR_DIGEST = "pcr-digest"
    # 9 clock
    CLOCK_NOT_SAFE = "clock-not-safe"
    CLOCK_BACKWARDS = "clock-backwards"
    RESET_BACKWARDS = "reset-backwards"
    RESTART_INCONSISTENT = "restart-inconsistent"
    FIRMWARE_VERSION = "firmware-version"
    # 10 event log
    EVENT_LOG_MISSING = "event-log-missing"
    EVENT_LOG_MALFORMED = "event-log-malformed"
    EVENT_LOG_REPLAY = "event-log-replay"
    # 11 IMA list
    IMA_MISSING = "ima-missing"
    IMA_MALFORMED = "ima-malformed"
    IMA_REPLAY = "ima-replay"
    IMA_GAP = "ima-gap"
    # 12 appraisal
    NOTHING_APPRAISED = "nothing-appraised"
    PCR_VALUE = "pcr-value"
    EVENT_UNKNOWN = "event-unknown"
    EVENT_SEQUENCE = "event-sequence"
    IMA_FILE_UNKNOWN = "ima-file-unknown"
    IMA_FILE_CHANGED = "ima-file-changed"
    IMA_VIOLATION = "ima-violation"
    SOFTWARE_TPM = "software-tpm"
    MEMORY_VIOLATION = "memory-violation"

    # enrolment
    EK_CERTIFICATE = "ek-certificate"
    EK_CHAIN = "ek-chain"
    EK_KEY = "ek-key"
    CREDENTIAL = "credential"
    IDENTITY_TAKEN = "identity-taken"
    NOT_ENROLLED = "not-enrolled"
    REVOKED = "revoked"
    HELD_CONTRAINDICATED = "held-contraindicated"

    # a guest on its host, and on its way
    BINDING = "binding"
    GUEST_KEY_CHANGED = "guest-key-changed"
    GUEST_RESTARTED = "guest-restarted"
    GUEST_ROLLED_BACK = "guest-rolled-back"
    GUEST_CLONED = "guest-cloned"
    EPOCH_REUSED = "epoch-reused"
    SAME_HOST = "same-host"
    QUOTED_BEFORE_MOVE = "quoted-before-move"
    WINDOW_EXCEEDED = "window-exceeded"
    DESTINATION_DEGRADED = "destination-degraded"
    NO_ELIGIBLE_HOST = "no-eligible-host"

    # no answer came, or no result can be relied on any more
    ATTESTER_UNREACHABLE = "attester-unreachable"
    ATTESTER_FAILED = "attester-failed"
    TPM_BUSY = "tpm-busy"
    TPM_MEMORY = "tpm-memory"
    TPM_GONE = "tpm-gone"
    TIMED_OUT = "timed-out"
    RESULT_EXPIRED = "result-expired"
    MONITOR_SILENT = "monitor-silent"
    MONITOR_FAILED = "monitor-failed"
    STATE_CONFLICT = "state-conflict"


SILENT = frozenset(
    {
        Reason.NOTHING_APPRAISED,
        Reason.NOT_ENROLLED,
        Reason.ATTESTER_UNREACHABLE,
        Reason.ATTESTER_FAILED,
        Reason.TPM_BUSY,
        Reason.TPM_MEMORY,
        Reason.TPM_GONE,
        Reason.TIMED_OUT,
        Reason.RESULT_EXPIRED,
        Reason.MONITOR_SILENT,
        Reason.MONITOR_FAILED,
        Reason.STATE_CONFLICT,
    }
)
"""Reasons that say nothing about the platform: nothing was learnt, which is tier ``none``."""


def tier_of(reason: Reason) -> Tier:
    """The tier of a result that ends with `reason`, where no policy says otherwise.

    A failed check is contraindicated; where nothing was learnt the tier is ``none``.
    """
    if reason is Reason.ACCEPTED:
        return Tier.AFFIRMING
    return Tier.NONE if reason in SILENT else Tier.CONTRAINDICATED
