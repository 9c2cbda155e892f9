"""`sodbench pvi issue`: a certificate of one of the factory's profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from harness.cli.attest.inputs import RegistryUrl
from harness.cli.pvi import enrolled, inputs
from harness.cli.pvi.inputs import Folder, Inventory, PassphraseFile
from harness.cli.terminal import Output
from harness.errors import InputFileError, UsageError
from harness.files import write_atomic
from harness.legible import legible
from harness.pvi.factory.profiles import Asked, Profile, PublicKey

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="The request that the holder signed (PKCS #10, PEM); of a vTPM, which signs none, the public "
        "part of its endorsement key (PEM); by default of a VM or a probe the key that it was enrolled with.",
    ),
]
Parent = Annotated[str | None, typer.Option("--parent", help="UUID of the VM that a VM is a clone of.")]


def issue(
    profile: Annotated[Profile, typer.Argument(metavar="PROFILE", help="For what the certificate is.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: a host, a VM, a VPN peer.")],
    out: Annotated[
        Path, typer.Option("--out", dir_okay=False, help="Where the certificate is written, PEM.")
    ],
    key: KeyFile = None,
    address: Annotated[
        list[str] | None,
        typer.Option(
            "--address", help="A host name or IP address of the holder; may be given several times."
        ),
    ] = None,
    uuid: Annotated[str | None, typer.Option("--uuid", help="The VM's: of a vTPM, a VM or a probe.")] = None,
    service: Annotated[
        list[str] | None,
        typer.Option(
            "--service", help="What the provider promises of a host, such as measured-boot; several times."
        ),
    ] = None,
    parent: Parent = None,
    endorsement: Annotated[
        Path | None,
        typer.Option("--endorsement", help="The vTPM's endorsement certificate: of a VM or a probe."),
    ] = None,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Certify a key: a host's or VM's identity, a vTPM, a VPN peer, a migration's end, or a probe.

    A certificate is renewed by a new one. What does not fit its profile is refused with 2, an endorsement
    certificate that does not count with 14. A VM that is enrolled needs neither --key nor --endorsement
    (docs/pvi.md).
    """
    holders, endorsed = _holders(profile, name, key, endorsement, registry_url)
    asked = Asked(
        profile=profile,
        name=name,
        key=holders,
        addresses=tuple(address or ()),
        uuid=uuid,
        services=tuple(service or ()),
        parent=parent,
        endorsement=endorsed,
    )
    with inputs.opened(folder, registry_url, passphrase_file, inventory) as factory:
        made = factory.issue(asked)
    write_atomic(out, made.public_bytes(Encoding.PEM))
    until = made.not_valid_after_utc.isoformat(" ", "minutes")
    Output().say(f"{out}: {profile}, serial {made.serial_number:x}, until {until}")


def _holders(
    profile: Profile, name: str, key: Path | None, endorsement: Path | None, url: str | None
) -> tuple[PublicKey, x509.Certificate | None]:
    """The key to certify, and the endorsement of the TPM that it is in."""
    if key is None and endorsement is None and profile in {Profile.VM, Profile.PROBE}:
        return enrolled.of(name, url)
    if key is None:
        raise UsageError("there is no key to certify", where=legible(name), remedy="give --key")
    return _key(key, profile), None if endorsement is None else inputs.certificate(endorsement).fields


def _key(file: Path, profile: Profile) -> PublicKey:
    """The key to certify: of a request that it signed, or the bare one of a vTPM.

    Raises:
        InputFileError: There is none of that kind.
    """
    raw = inputs.content(file, "the key")
    try:
        if not profile.signs:
            key = load_pem_public_key(raw)
        else:
            request = x509.load_pem_x509_csr(raw)
            key = request.public_key()
            if not request.is_signature_valid:
                raise ValueError("it is not signed with its own key")
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise TypeError("it is neither RSA nor on an elliptic curve")
    except (ValueError, TypeError) as error:
        what = "this is no request" if profile.signs else "this is no public key"
        raise InputFileError(what, where=legible(str(file)), why=legible(str(error))) from error
    return key
