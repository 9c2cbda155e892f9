"""Signatures of what is passed on: the user's own key, and whose key a signature is checked with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec

from harness.attest.tokens import signing_key
from harness.errors import UsageError
from harness.evidence import signature
from harness.registry import places

Key = Annotated[
    Path | None,
    typer.Option("--key", help="The signer's public key in PEM; by default your own verifier's."),
]
Unsigned = Annotated[
    bool, typer.Option("--unsigned", help="Do not check who signed; sums are checked all the same.")
]


def own_key() -> ec.EllipticCurvePrivateKey:
    """The user's verifier's key, which is made when it is first needed.

    Raises:
        PrerequisiteError: It cannot be used, or others may read it.
        StorageError: It cannot be stored.
    """
    return signing_key.signing_key(places.signing_key_file())


def signers_key(named: Path | None, *, unsigned: bool = False) -> ec.EllipticCurvePublicKey | None:
    """The public key in the file `named`, by default the user's own; None where none is to be checked.

    Raises:
        PrerequisiteError: The file holds no public key on P-256.
        UsageError: A key is named and not to be used.
    """
    if unsigned and named is not None:
        raise UsageError("--key and --unsigned exclude each other", remedy="give one of them")
    if unsigned:
        return None
    return signature.public_key(named or signing_key.public_file(places.signing_key_file()))
