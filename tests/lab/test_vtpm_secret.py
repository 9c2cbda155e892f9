"""A guest whose TPM's state is encrypted moves where the secret is, and stays unharmed where it is not."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from conftest import Lab
from harness.clock import MonotonicClock
from harness.migration import driver
from harness.migration.options import MigrationOptions
from harness.rig import pair as pairs
from harness.rig.guest import domain as guest
from harness.rig.guest.kind import SMALL
from harness.rig.rig import Rig
from harness.rig.session import open_rig

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def rig(lab: Lab) -> Iterator[Rig]:
    """The rig with a small measured guest on a."""
    pair, clock = pairs.load(lab.inventory), MonotonicClock()
    with open_rig(pair, "the vTPM test", clock, SMALL, vtpm_key=secrets.token_bytes(32)) as opened:
        spec = opened.specify(memory_mib=256, vcpus=1, tpm=True)
        opened.vacate()
        guest.boot(opened.hypervisors.connect()["a"], opened.hosts["a"], spec)
        guest.await_login(opened.guest, opened.hosts["a"], spec, timeout_s=300, clock=clock)
        try:
            yield opened
        finally:
            opened.clear(spec)


def move(rig: Rig, *, key: bytes | None) -> driver.Outcome:
    """Move the guest to the other host, whose secret is made with `key` first, or left as it is."""
    connections = rig.hypervisors.connect()
    source = guest.active_on(connections, rig.subject)
    destination = "b" if source == "a" else "a"
    if key is not None:
        unfit = driver.send_ahead(connections[source], connections[destination], rig.subject, key)
        assert unfit is None
    return driver.migrate(
        connections[source],
        connections[destination],
        rig.subject,
        MigrationOptions(),
        address=rig.pair.migration_address[destination],
        clock=MonotonicClock(),
    )


def restart_libvirtd(lab: Lab, host: str) -> None:
    lab.ssh(host, "systemctl restart libvirtd.service")


def runs_on(rig: Rig, host: str) -> None:
    assert guest.active_on(rig.hypervisors.connect(), rig.subject) == host
    assert rig.guest.run("echo alive", root=False).strip() == "alive"


def test_the_state_is_encrypted_and_the_guest_moves(lab: Lab, rig: Rig) -> None:
    assert "<encryption secret=" in lab.ssh("a", f"virsh dumpxml {rig.subject.domain}")
    for destination in ("b", "a"):
        outcome = move(rig, key=rig.vtpm_key)
        assert outcome.ok, outcome.error
        runs_on(rig, destination)


def test_no_client_can_ask_libvirt_for_the_secret(lab: Lab, rig: Rig) -> None:
    del rig
    listed = lab.ssh("a", "virsh secret-list").splitlines()[2].split()[0]
    assert "private" in lab.ssh("a", f"virsh secret-get-value {listed} 2>&1 || true")
    assert lab.ssh("a", "ls /etc/libvirt/secrets").strip() == ""


def test_a_destination_that_has_lost_its_secret_gets_no_guest(lab: Lab, rig: Rig) -> None:
    restart_libvirtd(lab, "b")
    outcome = move(rig, key=None)
    print(outcome.error)
    assert (outcome.ok, outcome.obstacle) == (False, "vtpm-secret"), outcome
    runs_on(rig, "a")


def test_a_destination_with_another_secret_gets_no_guest(rig: Rig) -> None:
    outcome = move(rig, key=secrets.token_bytes(32))
    print(outcome.error)
    assert (outcome.ok, outcome.obstacle) == (False, "vtpm-secret"), outcome
    runs_on(rig, "a")


def test_the_secret_is_set_again_where_libvirtd_was_restarted(lab: Lab, rig: Rig) -> None:
    restart_libvirtd(lab, "b")
    outcome = move(rig, key=rig.vtpm_key)
    assert outcome.ok, outcome.error
    runs_on(rig, "b")


def test_nothing_is_left_of_it(lab: Lab, rig: Rig) -> None:
    rig.clear(rig.specify(memory_mib=256, vcpus=1, tpm=True))
    for host in ("a", "b"):
        assert len(lab.ssh(host, "virsh secret-list").strip().splitlines()) == 2
