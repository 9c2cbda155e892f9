"""A real IKEv2 tunnel between two network namespaces, by the factory's certificates; and who is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from harness.clock import realtime_ns
from harness.errors import PrerequisiteError, StorageError, UsageError
from harness.pvi import vpn
from harness.pvi.factory import factory as factories
from harness.pvi.factory import locked_key, trust
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST
from harness.pvi.factory.profiles import Profile
from harness.pvi.factory.trust import CertificateRefusedError
from harness.pvi.vpn import Link, Peer
from tests.pvi.factory.places import CHEAP, HERE, PASSPHRASE, Log, Place, asked
from tests.skips import as_root

CANARY = b"a canary that a guest sends"
OUTER = {"a": "10.76.0.1", "b": "10.76.0.2"}
INNER = {"a": "10.77.0.1", "b": "10.77.0.2"}
OTHER = {"a": "b", "b": "a"}
_LIMIT_S = 60.0
Told: TypeAlias = tuple[Peer, trust.Trust]
"""A peer, and the factory as it knows it."""
Spoil: TypeAlias = Callable[[Path], None]
CAPTURE = """
import select, socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
raw.bind(("wire", 0)); raw.settimeout(0.2); print("ready", flush=True)
while True:
    try:
        print(raw.recv(65535).hex(), flush=True)
    except TimeoutError:
        if select.select([sys.stdin], [], [], 0)[0]:
            break
"""
RECEIVE = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind((sys.argv[1], 7777)); one.settimeout(20); print("ready", flush=True)
try:
    print(one.recv(2000).decode(), flush=True)
except TimeoutError:
    print("nothing", flush=True)
"""
SEND = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind((sys.argv[1], 0))
for _ in range(3):
    one.sendto(sys.argv[3].encode(), (sys.argv[2], 7777))
"""


def _run(*argv: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done


@dataclass
class Factory:
    """A factory of peers.

    Attributes:
        place: The factory.
    """

    place: Place

    @property
    def trusted(self) -> trust.Trust:
        return trust.load(self.place.folder / TRUST)

    def peer(self, end: str, in_userspace: bool = True) -> Peer:
        """The peer at one end, with a certificate of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        wanted = asked(Profile.VPN, name=f"peer-{end}", key=key.public_key(), addresses=(OUTER[end],))
        other = OTHER[end]
        link = Link(
            remote=f"peer-{other}",
            local_address=OUTER[end],
            remote_address=OUTER[other],
            local_network=f"{INNER[end]}/32",
            remote_network=f"{INNER[other]}/32",
        )
        certificate = self.place.issue(wanted)
        return Peer(certificate=certificate, key=key, links=(link,), in_userspace=in_userspace)

    def revoke(self, certificate: x509.Certificate) -> None:
        with self.place.open() as factory:
            factory.revoke(f"{certificate.serial_number:x}", "key-compromise")


def _factory(folder: Path) -> Factory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locked_key, "COST", CHEAP)
        place = Place(folder, Log(), now_ns=realtime_ns())
        factories.make(folder, "shop", PASSPHRASE, HERE, place.log, place.now_ns)
    return Factory(place)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    return _factory(tmp_path_factory.mktemp("vpn") / "pvi")


@dataclass
class Wire:
    """Two network namespaces and a cable between them."""

    name: str

    def at(self, end: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", f"{self.name}-{end}")

    @contextmanager
    def started(self, end: str, *argv: str | Path, **env: str | Path) -> Iterator[subprocess.Popen[str]]:
        """A program at one end, ended with the block."""
        process = subprocess.Popen(
            [*self.at(end), *map(str, argv)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **{key: str(value) for key, value in env.items()}},
        )
        with process:
            try:
                yield process
            finally:
                process.terminate()

    def carried(self) -> tuple[str, list[bytes]]:
        """What b receives of what a sends over the inner addresses, and all frames on the cable meanwhile."""
        with (
            self.started("b", "/usr/bin/python3", "-c", CAPTURE) as capture,
            self.started("b", "/usr/bin/python3", "-c", RECEIVE, INNER["b"]) as receive,
        ):
            assert capture.stdout is not None
            assert capture.stdin is not None
            assert receive.stdout is not None
            assert receive.stdout.readline() == "ready\n"
            assert capture.stdout.readline() == "ready\n"
            _run(*self.at("a"), "/usr/bin/python3", "-c", SEND, INNER["a"], INNER["b"], CANARY.decode())
            got = receive.stdout.readline().strip()
            capture.stdin.write("end\n")
            capture.stdin.close()
            return got, [bytes.fromhex(line) for line in capture.stdout.read().split()]


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire(f"sodbench-{os.getpid()}")
    with ExitStack() as stack:
        for end in OUTER:
            name = f"{made.name}-{end}"
            _run("ip", "netns", "add", name)
            stack.callback(_run, "ip", "netns", "delete", name, check=False)
            _run(*made.at(end), "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        ends = [f"{made.name}-{end}" for end in OUTER]
        _run("ip", "link", "add", "wire", "netns", ends[0], "type", "veth", "peer", "wire", "netns", ends[1])
        for end, address in OUTER.items():
            inside = ("ip", "-n", f"{made.name}-{end}")
            _run(*inside, "address", "add", f"{address}/24", "dev", "wire")
            _run(*inside, "address", "add", f"{INNER[end]}/32", "dev", "lo")
            for device in ("lo", "wire"):
                _run(*inside, "link", "set", device, "up")
        yield made


@contextmanager
def _daemon(wire: Wire, end: str, folder: Path) -> Iterator[None]:
    """strongSwan at one end, configured through VICI."""
    with wire.started(end, "/usr/sbin/charon-systemd", STRONGSWAN_CONF=folder / vpn.DAEMON):
        until = time.monotonic() + _LIMIT_S
        while not (folder / vpn.SOCKET).exists():
            assert time.monotonic() < until, "charon does not start"
            time.sleep(0.05)
        _swanctl(wire, end, folder, "--load-all", "--file", folder / vpn.CONNECTIONS)
        yield


def _swanctl(
    wire: Wire, end: str, folder: Path, *argv: str | Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    command = ("env", f"SWANCTL_DIR={folder}", "swanctl", *argv, "--uri", f"unix://{folder / vpn.SOCKET}")
    return _run(*wire.at(end), *command, check=check)


@contextmanager
def _ends(wire: Wire, tmp_path: Path, a: Told, b: Told, *, spoil: Spoil = lambda _: None) -> Iterator[Path]:
    """Both ends with their daemons; what is yielded is a's folder. `spoil` changes b's before it starts."""
    folders = {"a": tmp_path / "a", "b": tmp_path / "b"}
    with ExitStack() as stack:
        for end, (peer, trusted) in (("a", a), ("b", b)):
            vpn.write(folders[end], peer, trusted, now=moment(realtime_ns()))
            if end == "b":
                spoil(folders[end])
            stack.enter_context(_daemon(wire, end, folders[end]))
        yield folders["a"]


def _initiate(wire: Wire, folder: Path) -> subprocess.CompletedProcess[str]:
    return _swanctl(wire, "a", folder, "--initiate", "--child", "tunnel", "--timeout", "30", check=False)


def in_the_clear(frame: bytes) -> bool:
    """Whether a frame is neither ARP, RARP, ESP nor of UDP's ports 500 and 4500."""
    kind = frame[12:14]
    if kind in {b"\x08\x06", b"\x80\x35"}:
        return False
    if kind != b"\x08\x00":
        return True
    begin = 14 + 4 * (frame[14] & 0x0F)
    protocol, ports = frame[23], {frame[begin : begin + 2], frame[begin + 2 : begin + 4]}
    wanted = {(500).to_bytes(2, "big"), (4500).to_bytes(2, "big")}
    return protocol != 50 and not (protocol == 17 and ports & wanted)


@pytest.mark.programs
@as_root
def test_the_tunnel_carries_what_the_wire_does_not_show(wire: Wire, factory: Factory, tmp_path: Path) -> None:
    trusted = factory.trusted
    with _ends(wire, tmp_path, (factory.peer("a"), trusted), (factory.peer("b"), trusted)) as a:
        begun = _initiate(wire, a)
        assert begun.returncode == 0, begun.stdout
        got, frames = wire.carried()
        assert got == CANARY.decode()
        assert frames
        assert not any(map(in_the_clear, frames))
        assert not any(CANARY in frame for frame in frames)
        shown = _swanctl(wire, "a", a, "--list-sas").stdout
        assert "ESTABLISHED, IKEv2" in shown
        assert "AES_GCM_16-256" in shown


@pytest.mark.programs
@as_root
def test_the_same_filter_finds_the_payload_without_the_tunnel(wire: Wire) -> None:
    for end, other in OTHER.items():
        inside = ("ip", "-n", f"{wire.name}-{end}")
        _run(*inside, "route", "add", f"{INNER[other]}/32", "via", OUTER[other])
    got, frames = wire.carried()
    assert got == CANARY.decode()
    assert any(in_the_clear(frame) and CANARY in frame for frame in frames)


def _refused(wire: Wire, a: Path) -> None:
    """No tunnel is made, and nothing of the guest's is carried."""
    begun = _initiate(wire, a)
    assert begun.returncode != 0
    assert "AUTH" in begun.stdout, "the exchange came as far as the certificates"
    assert "tunnel" not in _swanctl(wire, "a", a, "--list-sas").stdout


@pytest.mark.programs
@as_root
def test_a_peer_of_another_factory_is_refused(wire: Wire, factory: Factory, tmp_path: Path) -> None:
    foreign = _factory(tmp_path / "foreign")

    def knows_the_factory(folder: Path) -> None:  # whose certificates are public: b lets a in
        for name in ("root", "issuing"):
            (folder / f"x509ca/{name}.pem").rename(folder / f"x509ca/foreign-{name}.pem")
            shutil.copy(factory.place.folder / TRUST / f"{name}.pem", folder / "x509ca")
            shutil.copy(factory.place.folder / TRUST / f"{name}.crl", folder / f"x509crl/{name}.pem")

    own, other = (factory.peer("a"), factory.trusted), (foreign.peer("b"), foreign.trusted)
    with _ends(wire, tmp_path, own, other, spoil=knows_the_factory) as a:
        _refused(wire, a)


@pytest.mark.programs
@as_root
def test_a_revoked_peer_is_refused(wire: Wire, factory: Factory, tmp_path: Path) -> None:
    b, before = factory.peer("b"), factory.trusted
    factory.revoke(b.certificate)
    with _ends(wire, tmp_path, (factory.peer("a"), factory.trusted), (b, before)) as a:
        _refused(wire, a)


@pytest.mark.programs
@as_root
def test_a_peer_is_refused_where_there_is_no_revocation_list(
    wire: Wire, factory: Factory, tmp_path: Path
) -> None:
    def without_lists(folder: Path) -> None:
        shutil.rmtree(folder / "x509crl")

    own, other = (factory.peer("a"), factory.trusted), (factory.peer("b"), factory.trusted)
    with _ends(wire, tmp_path, own, other, spoil=without_lists) as a:
        _refused(wire, a)


@pytest.mark.programs
@as_root
@pytest.mark.parametrize(
    ("profile", "name"), [(Profile.VPN, "peer-c"), (Profile.HOST, "peer-b")], ids=["name", "profile"]
)
def test_a_certificate_of_another_name_or_profile_is_refused(
    wire: Wire, factory: Factory, tmp_path: Path, profile: Profile, name: str
) -> None:
    b = factory.peer("b")
    wrong = factory.place.issue(asked(profile, name=name, key=b.key.public_key(), addresses=(OUTER["b"],)))

    def shows_it(folder: Path) -> None:
        (folder / "x509/peer.pem").write_bytes(wrong.public_bytes(Encoding.PEM))
        settings = folder / vpn.CONNECTIONS
        settings.write_text(settings.read_text().replace('id = "OU=vpn, CN=peer-b"', ""))

    with _ends(
        wire, tmp_path, (factory.peer("a"), factory.trusted), (b, factory.trusted), spoil=shows_it
    ) as a:
        _refused(wire, a)


def test_only_a_peer_of_the_factory_is_written_and_for_its_user_alone(
    factory: Factory, tmp_path: Path
) -> None:
    peer, trusted = factory.peer("a"), factory.trusted
    now = moment(factory.place.now_ns)
    vpn.write(tmp_path / "vpn", peer, trusted, now=now)
    assert (tmp_path / "vpn").stat().st_mode & 0o077 == 0
    assert peer.name == "peer-a"
    assert "kernel-libipsec" in (tmp_path / "vpn" / vpn.DAEMON).read_text()
    with pytest.raises(StorageError):
        vpn.write(tmp_path / "vpn", peer, trusted, now=now)
    other = replace(peer, key=ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(UsageError, match="not the certificate's"):
        vpn.write(tmp_path / "other", other, trusted, now=now)
    with pytest.raises(CertificateRefusedError):
        vpn.write(tmp_path / "other", peer, _factory(tmp_path / "pvi").trusted, now=now)
    in_kernel = replace(peer, in_userspace=False)
    vpn.write(tmp_path / "kernel", in_kernel, trusted, now=now)
    assert "load = random" in (tmp_path / "kernel" / vpn.DAEMON).read_text()
    assert "kernel-libipsec kernel-netlink" not in (tmp_path / "kernel" / vpn.DAEMON).read_text()


@pytest.mark.parametrize(
    "changed",
    [
        {"remote": "b\n}"},
        {"remote": ""},
        {"local_address": "10.0.0.0/8"},
        {"remote_address": "%any"},
        {"local_network": "10.77.0.1/8"},
        {"remote_network": "all"},
        {"remote_address": "fe80::1%x\n    proposals = null"},
        {"local_address": "fe80::1%eth0 }"},
        {"local_network": "fe80::1%x\n}/128"},
    ],
)
def test_what_is_no_link_is_refused(factory: Factory, tmp_path: Path, changed: dict[str, str]) -> None:
    peer = factory.peer("a")
    wrong = replace(peer, links=(replace(peer.links[0], **changed),))
    with pytest.raises(UsageError, match="no link"):
        vpn.write(tmp_path / "vpn", wrong, factory.trusted, now=moment(factory.place.now_ns))
    assert not (tmp_path / "vpn").exists()


@as_root
def test_the_kernel_says_whether_it_has_esp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert vpn.kernel_has_esp() in {True, False}
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="not known"):
        vpn.kernel_has_esp()
    texts = ("Error: Protocol not supported", "Error: Requested AEAD algorithm not found.")
    for status, told, text in ((0, True, ""), *((2, False, one) for one in texts)):
        program = tmp_path / "unshare"
        program.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {status}\n")
        program.chmod(0o755)
        assert vpn.kernel_has_esp() is told
    program.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    with pytest.raises(PrerequisiteError, match="not known"):
        vpn.kernel_has_esp()
