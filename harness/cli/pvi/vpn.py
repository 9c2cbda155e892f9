"""`sodbench pvi vpn`: what strongSwan needs at one peer of the infrastructure's VPN."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.attest.identity import authorities, revocation_memory
from harness.cli.pvi import inputs
from harness.cli.terminal import Output
from harness.clock import realtime_ns
from harness.errors import PrerequisiteError, UsageError
from harness.legible import legible
from harness.pvi import vpn as tunnels
from harness.pvi.factory import trust
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST
from harness.pvi.vpn import Link, Peer
from harness.registry import places


def vpn(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where it is written; it is not there yet.")],
    certificate: Annotated[
        Path, typer.Option("--certificate", help="The peer's, from `sodbench pvi issue vpn`.")
    ],
    key: Annotated[Path, typer.Option("--key", help="Its private key, PEM, the user's alone.")],
    link: Annotated[
        list[str],
        typer.Option(
            "--link",
            metavar="'NAME LOCAL REMOTE LOCAL-NET REMOTE-NET'",
            help="A tunnel: the other peer's name, both addresses, and the networks behind them.",
        ),
    ],
    in_userspace: Annotated[
        bool | None,
        typer.Option(
            "--userspace/--kernel",
            help="Who does ESP: strongSwan itself, or the kernel. By default this machine's kernel is asked.",
            show_default=False,
        ),
    ] = None,
    trusted: Annotated[
        Path | None,
        typer.Option("--trust", help="The factory's folder `trust`, or a copy; by default your own's."),
    ] = None,
) -> None:
    """Write what strongSwan needs at a peer: certificates, revocation lists, tunnels, the daemon's settings.

    A certificate that does not count is refused with 14. To be written again when certificate or lists are
    renewed (docs/pvi.md).
    """
    folder = trusted or inputs.factory_folder(None) / TRUST
    known = trust.load(folder)
    memory = places.revocation_lists_file()
    revocation_memory.require_current(authorities.load(folder), memory, where=str(folder))
    userspace = not tunnels.kernel_has_esp() if in_userspace is None else in_userspace
    peer = Peer(
        certificate=inputs.certificate(certificate).fields,
        key=_key(key),
        links=tuple(map(_link, link)),
        in_userspace=userspace,
    )
    tunnels.write(out, peer, known, now=moment(realtime_ns()))
    who = "strongSwan itself, as the kernel has none" if userspace else "the kernel"
    Output().say(
        f"{out}: the peer {peer.name}; ESP is done by {who}.",
        f"STRONGSWAN_CONF={out / tunnels.DAEMON} charon-systemd, then SWANCTL_DIR={out} swanctl --load-all "
        f"--file {out / tunnels.CONNECTIONS} --uri unix://{out.resolve() / tunnels.SOCKET}",
    )


def _link(text: str) -> Link:
    parts = text.split()
    if len(parts) != 5:
        raise UsageError("a link has five words", where=legible(text), remedy="see `--link` in the help")
    name, local, remote, local_network, remote_network = parts
    return Link(
        remote=name,
        local_address=local,
        remote_address=remote,
        local_network=local_network,
        remote_network=remote_network,
    )


def _key(file: Path) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """The private key in a file of the user's alone.

    Raises:
        InputFileError: The file cannot be read.
        PrerequisiteError: Others may read it, or it holds no such key.
    """
    raw = inputs.content(file, "the key")
    if file.stat().st_mode & 0o077:
        raise PrerequisiteError(
            "the key is readable by others",
            where=legible(str(file)),
            remedy="chmod 600 the file, and have a new key certified if others have used the machine",
        )
    try:
        key = load_pem_private_key(raw, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise TypeError("it is neither RSA nor on an elliptic curve")
    except (ValueError, TypeError) as error:
        raise PrerequisiteError(
            "this is no private key", where=legible(str(file)), why=legible(str(error))
        ) from error
    return key
