"""The table compared with tpm2_checkquote, which looks at signature, nonce and PCR values.

What the verifier accepts tpm2_checkquote accepts too. What it accepts and the verifier refuses is refused for
a reason that it does not look at.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from harness.attest.evidence import KeyType
from harness.attest.played import marshal
from harness.attest.played.local_tpm import LocalTpm
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import Alg
from tests.attest.adversary import (
    clock_cases,
    freshness_cases,
    key_cases,
    pcr_cases,
    signature_cases,
    structure_cases,
)
from tests.attest.adversary.case import KINDS, Case
from tests.attest.adversary.stage import Asked, Stage

pytestmark = pytest.mark.programs

CASES: tuple[Case, ...] = (
    *freshness_cases.CASES,
    *key_cases.CASES,
    *structure_cases.CASES,
    *signature_cases.CASES,
    *pcr_cases.CASES,
    *clock_cases.CASES,
)


BEYOND_CHECKQUOTE = frozenset(
    {
        Reason.SIZE_LIMIT,
        Reason.TRAILING_BYTES,
        Reason.SCHEME_NOT_ALLOWED,
        Reason.KEY_UNKNOWN,
        Reason.KEY_REVOKED,
        Reason.KEY_ATTRIBUTES,
        Reason.NOT_TPM_GENERATED,
        Reason.QUALIFIED_SIGNER,
        Reason.NONCE_SHORT,
        Reason.NONCE_REUSED,
        Reason.NONCE_EXPIRED,
        Reason.SELECTION_EMPTY,
        Reason.SELECTION_MISMATCH,
        Reason.BANK_MISMATCH,
        Reason.PCR_OUTSIDE_SELECTION,
        Reason.CLOCK_NOT_SAFE,
        Reason.CLOCK_BACKWARDS,
        Reason.RESET_BACKWARDS,
        Reason.RESTART_INCONSISTENT,
        Reason.FIRMWARE_VERSION,
        Reason.EVENT_LOG_REPLAY,
        Reason.PCR_VALUE,
    }
)
"""What tpm2_checkquote 5.4 and 5.7 do not look at."""

NOT_SEEN_BY_CHECKQUOTE = frozenset({"safe-is-two", "values-shifted", "pss-for-pkcs1", "pss-called-pkcs1"})
"""What it looks at less closely: any byte for yes, where one value ends and the next begins, and (5.7)
which padding a signature has: that which the key is restricted to, and which it says it has, or another."""


TOO_MUCH_FOR_CHECKQUOTE = frozenset({"nonce-of-66-bytes"})
"""It reads a nonce of 64 bytes at most."""


def _pcr_file(selected: Sequence[int], pcrs: Mapping[int, bytes]) -> bytes:
    """PCR values as tpm2_quote writes them: the selection, then lists of 8 digests, as they are in memory."""
    bits = sum(1 << pcr for pcr in selected).to_bytes(3, "little")
    selection = struct.pack("<IHB3s2x", 1, Alg.SHA256, 3, bits) + bytes(8 * 15)
    values = [pcrs.get(pcr, b"") for pcr in selected]
    lists = [values[at : at + 8] for at in range(0, len(values), 8)]
    written = b"".join(
        struct.pack("<I", len(one))
        + b"".join(struct.pack("<H64s", len(value), value) for value in one).ljust(8 * 66, b"\0")
        for one in lists
    )
    return selection + struct.pack("<I", len(lists)) + written


def _checkquote(local: LocalTpm, scene: Asked) -> bool:
    """Whether tpm2_checkquote takes signature, nonce and PCR values."""
    evidence, question = scene.evidence, scene.question
    assert question.key is not None
    for name, content in (
        ("ak.pub", marshal.sized(question.key.public)),
        ("attest", evidence.attest),
        ("sig", evidence.signature),
        ("pcrs", _pcr_file(sorted(question.challenge.pcrs), evidence.pcrs)),
    ):
        Path(local.folder, name).write_bytes(content)
    done = local.run(
        *("tpm2_checkquote", "-u", "ak.pub", "-m", "attest", "-s", "sig", "-g", "sha256"),
        *("-q", question.challenge.nonce.hex(), "-f", "pcrs"),
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_accepted_checkquote_accepts_and_more_only_where_it_does_not_look(
    kind: KeyType, swtpm: LocalTpm, stages: dict[KeyType, Stage]
) -> None:
    accepted, refused = 0, 0
    for case in CASES:
        scene = case.forge(stages[kind]) if kind in case.kinds else None
        if not isinstance(scene, Asked) or scene.question.key is None:
            continue
        theirs = _checkquote(swtpm, scene)
        if case.honest:
            assert theirs or case.id in TOO_MUCH_FOR_CHECKQUOTE, case.id
            accepted += 1
        elif theirs:
            assert case.expected in BEYOND_CHECKQUOTE or case.id in NOT_SEEN_BY_CHECKQUOTE, case.id
        else:
            refused += 1
    assert accepted >= 15
    assert refused >= 50
