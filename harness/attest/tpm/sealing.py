"""Sealing a secret so that one TPM gives it back, in one state, in one boot, and until one moment.

It is a data object made outside the TPM, for TPM2_Import under an endorsement key (TCG TPM 2.0 Library,
Part 1, 23.3). Its policy is PolicyPCR followed by PolicyCounterTimer (Part 3, 23.7 and 23.9); the digest of
that policy is computed here without a TPM. The object allows no password and no duplication, so that no other
way leads to the secret. Once the TPM has given it back, measured software alone protects it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.attest.evidence import Bank, RefusedError
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import BANK_ALG, Alg
from harness.attest.tpm.structures import ClockInfo
from harness.attest.tpm.wrapping import endorsement, protect, sized

SECRET_BYTES = 32
"""The length of what is sealed: a key. A package is encrypted with it, as a TPM seals 128 bytes at most."""

LABEL = "DUPLICATE"

PCR_COUNT = 24
PCR_BYTES: Mapping[Bank, int] = MappingProxyType({"sha256": 32, "sha384": 48})

_ADMIN_WITH_POLICY = 1 << 7
_NO_DA = 1 << 10
ATTRIBUTES = _ADMIN_WITH_POLICY | _NO_DA
"""Of the object: no password (userWithAuth), and no failed attempt locks it (noDA).

fixedTPM and fixedParent are clear, as an imported object's must be. It still cannot leave its TPM: Duplicate
and ObjectChangeAuth want a policy that names the command, and this one names none.
"""

_POLICY_PCR = 0x0000017F
_POLICY_COUNTER_TIMER = 0x0000016D
_CLOCK_AT, _RESETS_AT, _RESTARTS_AT = 8, 16, 20
"""Where TPMS_TIME_INFO has its clock and its counters (Part 2, 10.11.6)."""
_EQUAL, _AT_MOST = 0x0000, 0x0009
"""TPM_EO_EQ and TPM_EO_UNSIGNED_LE (Part 2, 6.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When a TPM gives the secret back.

    Attributes:
        bank: The bank of `pcrs`.
        pcrs: PCR to the value that it must have.
        reset_count: The boot: how often the TPM was reset.
        restart_count: How often it was resumed in that boot. A clock may stand still meanwhile.
        until_ms: The last moment, on the TPM's clock, in ms.
    """

    bank: Bank
    pcrs: Mapping[int, bytes]
    reset_count: int
    restart_count: int
    until_ms: int

    def __post_init__(self) -> None:
        wanted = PCR_BYTES[self.bank]
        if not self.pcrs:
            raise RefusedError(Reason.SELECTION_EMPTY, "a secret that no PCR protects is not sealed")
        for pcr, value in self.pcrs.items():
            if not 0 <= pcr < PCR_COUNT or len(value) != wanted:
                raise RefusedError(
                    Reason.PCR_MISSING, f"PCR {pcr} of bank {self.bank} with {len(value)} bytes"
                )

    @classmethod
    def after(cls, clock: ClockInfo, *, bank: Bank, pcrs: Mapping[int, bytes], lasting_ms: int) -> Terms:
        """The terms that hold from a quote with this clock on, for `lasting_ms` and in its boot alone."""
        return cls(
            bank=bank,
            pcrs=pcrs,
            reset_count=clock.reset_count,
            restart_count=clock.restart_count,
            until_ms=clock.clock_ms + lasting_ms,
        )

    def selection(self) -> bytes:
        """TPML_PCR_SELECTION of the PCRs (Part 2, 10.9.7)."""
        bits = sum(1 << pcr for pcr in self.pcrs)
        return (
            (1).to_bytes(4, "big")
            + BANK_ALG[self.bank].to_bytes(2, "big")
            + bytes([PCR_COUNT // 8])
            + bits.to_bytes(PCR_COUNT // 8, "little")
        )

    def pcr_policy(self) -> bytes:
        """The digest of PolicyPCR alone, by SHA-256."""
        values = hashlib.sha256(b"".join(self.pcrs[pcr] for pcr in sorted(self.pcrs))).digest()
        return _extended(bytes(32), _POLICY_PCR, self.selection() + values)

    def policy(self) -> bytes:
        """The digest of the policy, by SHA-256: what a session has after PolicyPCR and three comparisons."""
        digest = _compared(self.pcr_policy(), self.reset_count.to_bytes(4, "big"), _RESETS_AT, _EQUAL)
        digest = _compared(digest, self.restart_count.to_bytes(4, "big"), _RESTARTS_AT, _EQUAL)
        return _compared(digest, self.until_ms.to_bytes(8, "big"), _CLOCK_AT, _AT_MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What TPM2_Import takes. Each has its size before it, as tpm2-tools keep it in a file.

    Attributes:
        public: TPM2B_PUBLIC of the object.
        duplicate: TPM2B_PRIVATE: its secret part, protected.
        seed: TPM2B_ENCRYPTED_SECRET: the seed of that protection, for the endorsement key alone.
    """

    public: bytes
    duplicate: bytes
    seed: bytes


def seal(ek_public: bytes, secret: bytes, terms: Terms) -> Sealed:
    """`secret` for the TPM with this endorsement key, which gives it back on these terms.

    Args:
        ek_public: TPMT_PUBLIC, as one of the default templates makes it. Whose it is, the caller has checked.
        secret: 32 bytes.
        terms: When the TPM gives it back.

    Raises:
        RefusedError: ``ek-key``: no such endorsement key; ``credential``: a secret of another length.
    """
    parent = endorsement(ek_public)
    if len(secret) != SECRET_BYTES:
        raise RefusedError(Reason.CREDENTIAL, f"a secret of {len(secret)} bytes; {SECRET_BYTES} are sealed")
    # Without it the object's public part would confirm a guess of the secret (Part 1, 27.5.3).
    blinding = secrets.token_bytes(32)
    public = (
        Alg.KEYEDHASH.to_bytes(2, "big")
        + Alg.SHA256.to_bytes(2, "big")
        + ATTRIBUTES.to_bytes(4, "big")
        + sized(terms.policy())
        + Alg.NULL.to_bytes(2, "big")
        + sized(hashlib.sha256(blinding + secret).digest())
    )
    sensitive = Alg.KEYEDHASH.to_bytes(2, "big") + sized(b"") + sized(blinding) + sized(secret)
    name = Alg.SHA256.to_bytes(2, "big") + hashlib.sha256(public).digest()
    duplicate, seed = protect(parent, name, sensitive, LABEL)
    return Sealed(public=sized(public), duplicate=duplicate, seed=seed)


def _extended(digest: bytes, command: int, content: bytes) -> bytes:
    return hashlib.sha256(digest + command.to_bytes(4, "big") + content).digest()


def _compared(digest: bytes, operand: bytes, offset: int, operation: int) -> bytes:
    """PolicyCounterTimer: the bytes of TPMS_TIME_INFO at `offset`, compared with `operand`."""
    what = operand + offset.to_bytes(2, "big") + operation.to_bytes(2, "big")
    return _extended(digest, _POLICY_COUNTER_TIMER, hashlib.sha256(what).digest())
