"""Migrations between hosts that prove who they are: encrypted, refused to others, the guest unharmed."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import Lab
from harness.clock import MonotonicClock
from harness.migration import driver
from harness.migration.obstacle import in_log
from harness.migration.options import MigrationOptions
from harness.registry import places
from harness.rig import pair as pairs
from harness.rig.guest import domain as guest
from harness.rig.guest import snapshot, vtpm
from harness.rig.rig import Rig
from harness.rig.session import open_rig

pytestmark = pytest.mark.lab

_FOLDER = "/etc/pki/qemu/sodbench"
_KEPT = "/run/sodbench-kept-certificates"
_SOCKET_BYTES = 4 << 20
"""What a socket holds at most before it was acknowledged: the kernel's default (``net.ipv4.tcp_wmem``)."""
_SIGNING = Path(__file__).parents[2] / "playbooks/roles/tls/filter_plugins/sodbench_certificates.py"


def certificates(requests: Mapping[str, Mapping[str, str]], *, days: int = 1) -> dict[str, Any]:
    """Certificates as provisioning makes them, by an authority of the test's own."""
    described = importlib.util.spec_from_file_location("sodbench_certificates", _SIGNING)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    made: dict[str, Any] = module.certificates(requests, days)
    return made


@pytest.fixture(scope="module")
def rig(lab: Lab) -> Iterator[Rig]:
    """The rig with a running guest: the saved one of the smoke campaign, or a booted one."""
    # With the user's key, as a run has it: a saved guest is its controller's own.
    key = vtpm.key(places.vtpm_key_file())
    with open_rig(pairs.load(lab.inventory), "the encryption test", MonotonicClock(), vtpm_key=key) as opened:
        spec = opened.specify(memory_mib=1024, vcpus=1)
        host, connection = opened.hosts["a"], opened.hypervisors.connect()["a"]
        opened.vacate()
        folder = snapshot.place(spec, opened.pair.storage_path, connection.version())
        if snapshot.exists(host, folder):
            snapshot.restore(connection, host, spec, folder)
        else:
            guest.boot(connection, host, spec)
        guest.await_login(opened.guest, host, spec, timeout_s=300, clock=MonotonicClock())
        try:
            yield opened
        finally:
            opened.clear(spec)


def move(rig: Rig, options: MigrationOptions | None = None) -> tuple[driver.Outcome, str]:
    """How the guest's migration to the other host ended, and which host that is."""
    connections = rig.hypervisors.connect()
    source = guest.active_on(connections, rig.subject)
    destination = "b" if source == "a" else "a"
    outcome = driver.migrate(
        connections[source],
        connections[destination],
        rig.subject,
        options or MigrationOptions(),
        address=rig.pair.migration_address[destination],
        clock=MonotonicClock(),
    )
    return outcome, destination


def to_a(rig: Rig) -> None:
    if guest.active_on(rig.hypervisors.connect(), rig.subject) == "b":
        outcome, _ = move(rig)
        assert outcome.ok, outcome.error


def counted(lab: Lab, host: str, counter: str) -> tuple[int, int]:
    """Packets and bytes that a host's counter has seen."""
    words = lab.ssh(host, f"nft list counter inet sodbench_wire {counter}").split()
    return int(words[words.index("packets") + 1]), int(words[words.index("bytes") + 1])


@contextmanager
def other_certificates(lab: Lab) -> Iterator[None]:
    """The hosts' own come back with the end of the block."""
    for host in ("a", "b"):
        lab.ssh(host, f"rm -rf {_KEPT} && cp -a {_FOLDER} {_KEPT}")
    try:
        yield
    finally:
        for host in ("a", "b"):
            lab.ssh(host, f"rm -rf {_FOLDER} && mv {_KEPT} {_FOLDER}")


def request_of(lab: Lab, host: str) -> str:
    return lab.ssh(host, f"openssl req -new -key {_FOLDER}/server-key.pem -subj /CN={host} -batch")


def write(lab: Lab, host: str, **files: str) -> None:
    """Put PEM texts in the place of a host's files; a link is replaced, not followed."""
    for name, text in files.items():
        path = f"{_FOLDER}/{name.replace('_', '-')}.pem"
        lab.ssh(host, f"rm -f {path}; printf %s '{text}' > {path}")


def install(lab: Lab, hosts: str, addresses: Mapping[str, str], *, days: int = 1) -> None:
    """Give `hosts` certificates of one new authority, for those addresses."""
    asked = {host: {"request": request_of(lab, host), "address": addresses[host]} for host in hosts}
    made = certificates(asked, days=days)
    for host in hosts:
        write(lab, host, ca_cert=made["authority"], server_cert=made["certificates"][host])


def refused(lab: Lab, rig: Rig, *, limit_bytes: int = 100_000) -> driver.Outcome:
    """The guest cannot leave a: no memory was sent, or no more than the limit, and it runs on."""
    before = counted(lab, "a", "out")[1]
    outcome, _ = move(rig)
    assert not outcome.ok
    assert counted(lab, "a", "out")[1] - before < limit_bytes
    assert guest.active_on(rig.hypervisors.connect(), rig.subject) == "a"
    assert rig.guest.run("echo alive", root=False).strip() == "alive"
    return outcome


def named(outcome: driver.Outcome) -> driver.Outcome:
    """A refusal of which the journal says that it was a matter of certificates."""
    assert outcome.obstacle == "certificate", outcome.error
    return outcome


def test_a_migration_is_encrypted(rig: Rig) -> None:
    to_a(rig)
    outcome, destination = move(rig)
    assert outcome.ok, outcome.error
    assert guest.active_on(rig.hypervisors.connect(), rig.subject) == destination


def test_a_campaign_may_ask_for_a_plain_one(lab: Lab, rig: Rig) -> None:
    to_a(rig)
    with other_certificates(lab):
        lab.ssh("b", f"rm {_FOLDER}/*.pem")
        outcome, _ = move(rig, MigrationOptions(tls=False))
    assert outcome.ok, outcome.error
    to_a(rig)


@pytest.mark.parametrize("options", [{"parallel_connections": 2}, {"mode": "post-copy"}], ids=str)
def test_it_is_encrypted_whatever_else_is_asked_for(rig: Rig, options: dict[str, Any]) -> None:
    outcome, _ = move(rig, MigrationOptions(**options))
    assert outcome.ok, outcome.error


def test_a_destination_with_a_foreign_certificate_gets_no_guest(lab: Lab, rig: Rig) -> None:
    to_a(rig)
    with other_certificates(lab):
        install(lab, "b", rig.pair.migration_address)
        named(refused(lab, rig))
    outcome, _ = move(rig)
    assert outcome.ok, outcome.error


def test_a_destination_with_another_name_gets_no_guest(lab: Lab, rig: Rig) -> None:
    to_a(rig)
    with other_certificates(lab):
        install(lab, "ab", {"a": rig.pair.migration_address["a"], "b": "198.18.0.99"})
        named(refused(lab, rig))


def test_no_guest_moves_when_the_certificates_have_expired(lab: Lab, rig: Rig) -> None:
    to_a(rig)
    with other_certificates(lab):
        install(lab, "ab", rig.pair.migration_address, days=0)
        assert "expired" in str(named(refused(lab, rig)).error).lower()


def test_a_source_with_a_foreign_certificate_is_turned_away(lab: Lab, rig: Rig) -> None:
    """The source trusts itself and the destination: it is the destination that demands a certificate.

    In TLS 1.3 a client has done its part of the handshake before its certificate is judged (RFC 8446, 2):
    what fits into a socket's buffer may be under way, encrypted, to a destination that has proved who it is,
    and the source may hear no more than that the connection is gone.
    """
    to_a(rig)
    with other_certificates(lab):
        own = lab.ssh("a", f"cat {_FOLDER}/ca-cert.pem")
        asked = {"request": request_of(lab, "a"), "address": rig.pair.migration_address["a"]}
        made = certificates({"a": asked})
        write(lab, "a", ca_cert=own + made["authority"], client_cert=made["certificates"]["a"])
        outcome = refused(lab, rig, limit_bytes=_SOCKET_BYTES)
    log = lab.ssh("b", f"tail -c 65536 /var/log/libvirt/qemu/{rig.subject.domain}.log")
    assert "certificate" in (outcome.obstacle, in_log(log)), f"{outcome.error}\n{log}"


def test_only_the_peer_can_open_a_migration_port(lab: Lab) -> None:
    before, _ = counted(lab, "b", "refused")
    with pytest.raises(subprocess.CalledProcessError):
        lab.ssh("client", "timeout 3 bash -c '</dev/tcp/198.18.0.12/49152'")
    assert counted(lab, "b", "refused")[0] > before


def test_the_key_is_the_hosts_alone(lab: Lab) -> None:
    found = {lab.ssh(host, f"sha256sum < {_FOLDER}/server-key.pem") for host in ("a", "b")}
    assert len(found) == 2
    assert {lab.ssh(host, f"stat -c %a {_FOLDER}/server-key.pem").strip() for host in ("a", "b")} == {"400"}
