"""The VPN of a private virtual infrastructure: what strongSwan is told at one peer, in IKEv2.

The folder that :func:`write` makes has all that charon and swanctl(8) read, so that nothing of the machine's
own configuration is used; swanctl hands it to the daemon through VICI. A peer is refused whose certificate is
not of the factory and its profile `vpn`, names another peer, or is revoked; without a valid revocation list
every peer is refused.

Where the kernel has no ESP, strongSwan does it in its own process (kernel-libipsec), inside UDP.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness import disk
from harness.errors import PrerequisiteError, UsageError
from harness.files import write_atomic
from harness.legible import legible
from harness.pvi.factory import profiles, trust
from harness.pvi.factory.profiles import Profile
from harness.pvi.factory.trust import Trust

DAEMON, CONNECTIONS, SOCKET = "strongswan.conf", "swanctl.conf", "charon.vici"
_PLUGINS = (
    *("random", "nonce", "openssl", "x509", "revocation", "constraints", "pubkey", "pkcs1", "pkcs8", "pem"),
    *("kdf", "vici", "socket-default", "updown"),
)
"""What IKEv2 with certificates needs: what is not loaded does not listen."""
_IKE, _ESP = "aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp384"
_PLAIN = re.compile(r"[0-9A-Fa-f.:/]+")
_PROBE = (
    *("unshare", "--net", "ip", "xfrm", "state", "add", "src", "192.0.2.1", "dst", "192.0.2.2"),
    *("proto", "esp", "spi", "1", "mode", "tunnel", "aead", "rfc4106(gcm(aes))", "0x" + "00" * 20, "128"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A tunnel from one peer to another.

    Attributes:
        remote: The other's name, as its certificate has it.
        local_address: Where this peer sends from.
        remote_address: Where the other answers.
        local_network: What is reached through this peer, such as ``10.77.0.1/32``.
        remote_network: What is reached through the other.
    """

    remote: str
    local_address: str
    remote_address: str
    local_network: str
    remote_network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One end of tunnels.

    Attributes:
        certificate: Of the profile `vpn`.
        key: Its private key.
        links: Its tunnels.
        in_userspace: Whether strongSwan does ESP itself, as the kernel has none.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    links: tuple[Link, ...]
    in_userspace: bool

    @property
    def name(self) -> str:
        """As its certificate has it."""
        return str(self.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def kernel_has_esp() -> bool:
    """Whether this machine's kernel does ESP by AES-GCM: it is asked for it in a network of its own, as root.

    Raises:
        PrerequisiteError: unshare(1) or ip(8) is missing, or this user may not.
    """
    try:
        done = subprocess.run(
            _PROBE, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PrerequisiteError(
            "it is not known whether the kernel has ESP",
            why=str(error),
            remedy="install util-linux and iproute2",
        ) from error
    # Without ESP the protocol is not supported, without AES-GCM the algorithm is not found.
    if done.returncode == 0 or "not supported" in done.stderr or "not found" in done.stderr:
        return done.returncode == 0
    raise PrerequisiteError(
        "it is not known whether the kernel has ESP",
        why=legible(done.stderr.strip()[-300:]),
        remedy="run the command as root",
    )


def write(folder: Path, peer: Peer, trusted: Trust, *, now: datetime) -> None:
    """Write what strongSwan needs at `peer` into the new folder `folder`, which is the user's alone.

    Args:
        folder: Where.
        peer: The end.
        trusted: The factory, with its revocation lists.
        now: The moment at which the peer's own certificate has to count.

    Raises:
        UsageError: A link is not what it should be, or the key is not the certificate's.
        CertificateRefusedError: The peer's own certificate does not count.
        StorageError: The folder cannot be written.
    """
    trust.check(peer.certificate, Profile.VPN, trusted, now=now)
    if peer.key.public_key() != peer.certificate.public_key():
        raise UsageError("the key is not the certificate's", where=legible(peer.name))
    for link in peer.links:
        _check(link)
    try:
        folder.mkdir(mode=0o700, parents=True)
        for name in ("x509", "x509ca", "x509crl", "private"):
            (folder / name).mkdir(mode=0o700)
    except OSError as error:
        raise disk.failure("the VPN's settings cannot be written", folder, error) from error
    pem = Encoding.PEM
    key = peer.key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption())
    written = {
        "private/peer.pem": key,
        "x509/peer.pem": peer.certificate.public_bytes(pem),
        "x509ca/root.pem": trusted.root.public_bytes(pem),
        "x509ca/issuing.pem": trusted.issuing.public_bytes(pem),
        **{f"x509crl/{at}.pem": one.public_bytes(pem) for at, one in enumerate(trusted.lists)},
        DAEMON: daemon(folder, in_userspace=peer.in_userspace).encode(),
        CONNECTIONS: connections(peer).encode(),
    }
    for name, content in written.items():
        write_atomic(folder / name, content)


def daemon(folder: Path, *, in_userspace: bool) -> str:
    """strongswan.conf(5) of the daemon."""
    kernel = ("kernel-libipsec", "kernel-netlink") if in_userspace else ("kernel-netlink",)
    return f"""charon-systemd {{
  load = {" ".join((*_PLUGINS, *kernel))}
  install_virtual_ip = no
  plugins {{
    vici {{
      socket = unix://{folder.resolve() / SOCKET}
    }}
    kernel-libipsec {{
      allow_peer_ts = yes
    }}
  }}
}}
"""


def connections(peer: Peer) -> str:
    """swanctl.conf of the peer's tunnels: AES-256-GCM, each new key by a new exchange on P-384."""
    parts = [_connection(peer, link) for link in peer.links]
    return "connections {\n" + "".join(parts) + "}\n"


def _connection(peer: Peer, link: Link) -> str:
    # `OU` is in certificates of the profile `vpn` alone: no host's certificate stands for a peer.
    return f"""  {link.remote} {{
    version = 2
    local_addrs = {link.local_address}
    remote_addrs = {link.remote_address}
    proposals = {_IKE}
    encap = yes
    mobike = yes
    dpd_delay = 10s
    local {{
      auth = pubkey
      certs = peer.pem
      id = "OU={profiles.VPN_UNIT}, CN={peer.name}"
    }}
    remote {{
      auth = pubkey
      cacerts = issuing.pem
      id = "OU={profiles.VPN_UNIT}, CN={link.remote}"
      revocation = strict
    }}
    children {{
      tunnel {{
        local_ts = {link.local_network}
        remote_ts = {link.remote_network}
        esp_proposals = {_ESP}
        start_action = trap
        dpd_action = restart
      }}
    }}
  }}
"""


def _check(link: Link) -> None:
    try:
        for address in (link.local_address, link.remote_address):
            ipaddress.ip_address(address)
        for network in (link.local_network, link.remote_network):
            ipaddress.ip_network(network)
        for text in (link.local_address, link.remote_address, link.local_network, link.remote_network):
            if not _PLAIN.fullmatch(text):  # any text may be the zone of an address, line feeds too
                raise ValueError(f"{text!r} has another sign than an address or network has")
        if not profiles.is_name(link.remote):
            raise ValueError(f"{link.remote!r} is no name of a peer")
    except ValueError as error:
        raise UsageError(
            "this is no link of the VPN", where=legible(link.remote), why=legible(str(error))
        ) from error
