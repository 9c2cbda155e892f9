"""What a host does with a sealed object, by tpm2-tools alone: import, load, satisfy the policy, unseal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.attest.played.local_tpm import LocalTpm
from harness.attest.tpm.sealing import Sealed, Terms
from harness.attest.tpm.structures import ClockInfo


@dataclass(frozen=True)
class Opened:
    """The secret; or, where the TPM refused, the command that it refused."""

    secret: bytes | None
    refused: str = ""


def endorsement_key(tpm: LocalTpm, algorithm: str) -> bytes:
    """TPMT_PUBLIC of the TPM's endorsement key, which stays in ek.ctx."""
    tpm.run("tpm2_createek", "-c", "ek.ctx", "-G", algorithm, "-u", "ek.pub")
    tpm.flush()
    return (tpm.folder / "ek.pub").read_bytes()[2:]


def clock_of(tpm: LocalTpm) -> ClockInfo:
    """What the TPM says of its clock now."""
    said = tpm.run("tpm2_readclock").stdout
    number = {name: int(value) for name, value in re.findall(r"(\w+): (\d+)", said)}
    return ClockInfo(
        clock_ms=number["clock"],
        reset_count=number["reset_count"],
        restart_count=number["restart_count"],
        safe="safe: yes" in said,
    )


def pcrs_of(tpm: LocalTpm, pcrs: Sequence[int], bank: str = "sha256") -> dict[int, bytes]:
    """The values of these PCRs now."""
    tpm.run("tpm2_pcrread", f"{bank}:{','.join(map(str, pcrs))}", "-o", "values")
    values = (tpm.folder / "values").read_bytes()
    size = len(values) // len(pcrs)
    return {pcr: values[size * at : size * (at + 1)] for at, pcr in enumerate(sorted(pcrs))}


def opened(tpm: LocalTpm, sealed: Sealed, terms: Terms, *, without: Sequence[str] = ()) -> Opened:
    """What the TPM whose endorsement key is in ek.ctx makes of `sealed`.

    Args:
        tpm: The TPM.
        sealed: The object.
        terms: What the session asserts.
        without: Assertions that the session leaves out: ``pcrs``, ``resets``, ``restarts`` or ``clock``.
    """
    for name in ("public", "duplicate", "seed"):
        (tpm.folder / f"sealed.{name}").write_bytes(getattr(sealed, name))
    parent = ("-C", "ek.ctx", "-P", "session:session.ctx")
    object_ = ("-u", "sealed.public", "-r", "sealed.private")
    for command in (
        ("tpm2_import", *parent, "-i", "sealed.duplicate", "-s", "sealed.seed", *object_),
        ("tpm2_load", *parent, *object_, "-c", "sealed.ctx"),
    ):
        tpm.run("tpm2_startauthsession", "--policy-session", "-S", "session.ctx")
        tpm.run("tpm2_policysecret", "-S", "session.ctx", "-c", "e")
        refused = tpm.run(*command, check=False).returncode
        tpm.run("tpm2_flushcontext", "session.ctx")
        tpm.flush()
        if refused:
            return Opened(None, command[0])
    return _unsealed(tpm, terms, without)


def _unsealed(tpm: LocalTpm, terms: Terms, without: Sequence[str]) -> Opened:
    timer, session = "tpm2_policycountertimer", ("-S", "session.ctx")
    pcrs = f"{terms.bank}:{','.join(map(str, sorted(terms.pcrs)))}"
    assertions = {
        "pcrs": ("tpm2_policypcr", *session, "-l", pcrs),
        "resets": (timer, *session, "--eq", f"resets={terms.reset_count}"),
        "restarts": (timer, *session, "--eq", f"restarts={terms.restart_count}"),
        "clock": (timer, *session, "--ule", f"clock={terms.until_ms}"),
    }
    unseal = ("tpm2_unseal", "-c", "sealed.ctx", "-p", "session:session.ctx", "-o", "opened")
    (tpm.folder / "opened").unlink(missing_ok=True)
    tpm.run("tpm2_startauthsession", "--policy-session", *session)
    try:
        for name, command in {**assertions, "unseal": unseal}.items():
            if name not in without and tpm.run(*command, check=False).returncode:
                return Opened(None, name)
    finally:
        tpm.run("tpm2_flushcontext", "session.ctx")
        tpm.flush()
    return Opened((tpm.folder / "opened").read_bytes())
