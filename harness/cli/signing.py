"""Signatures of what is passed on: the user's own key, and whose key a signature is checked with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec

from harness.attest.tokens import signing_key
from harness.errors import PrerequisiteError, UsageError
from harness.evidence import signature
from harness.registry import places

Key = Annotated[
    Path | None,
    typer.Option("--key", help="The signer's public key in PEM; by default your own verifier's."),
]
Unsigned = Annotated[
    bool, typer.Option("--unsigned", help="Do not check who signed; sums are checked all the same.")
]


Sign = Annotated[
    bool | None,
    typer.Option(
        "--sign/--unsigned",
        help="Sign with your verifier's key, which is made when there is none; or do not sign. By default "
        "the report is signed where there is a key.",
        show_default=False,
    ),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Check the signature of the report in the folder RUN; make nothing.")
]


def own_key() -> ec.EllipticCurvePrivateKey:
    """The user's verifier's key, which is made when it is first needed.

    Raises:
        PrerequisiteError: It cannot be used, or others may read it.
        StorageError: It cannot be stored.
    """
    return signing_key.signing_key(places.signing_key_file())


def own_public_file() -> Path:
    """Where the public part of the user's key is, for those who check what they signed."""
    return signing_key.public_file(places.signing_key_file())


def key_to_sign(asked: bool | None) -> ec.EllipticCurvePrivateKey | None:
    """The user's key, as far as they want a signature; by default where there is a key.

    A report is mostly made to be read at once, and its reader need not be a signer: no key is made unasked.

    Raises:
        PrerequisiteError: It cannot be used, or others may read it.
        StorageError: It cannot be stored.
    """
    if asked is False or (asked is None and not places.signing_key_file().exists()):
        return None
    try:
        return own_key()
    except PrerequisiteError as error:
        remedy = "; ".join(one for one in (error.remedy, "--unsigned makes the report without it") if one)
        raise PrerequisiteError(error.what, where=error.where, why=error.why, remedy=remedy) from error


def signers_key(named: Path | None, *, unsigned: bool = False) -> ec.EllipticCurvePublicKey | None:
    """The public key in the file `named`, by default the user's own; None where none is to be checked.

    Raises:
        PrerequisiteError: The file holds no public key on P-256.
        UsageError: A key is named and not to be used.
    """
    if unsigned and named is not None:
        raise UsageError("--key and --unsigned exclude each other", remedy="give one of them")
    return None if unsigned else trusted_key(named)


def trusted_key(named: Path | None) -> ec.EllipticCurvePublicKey:
    """The public key in the file `named`, by default the user's own.

    Raises:
        PrerequisiteError: The file holds no public key on P-256.
    """
    return signature.public_key(named or own_public_file())
