"""The command for a user of its own, on a rig whose machines are processes here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from harness.attest.identity import authorities
from harness.attest.played.local_attester import LocalAttester
from harness.cli.attest import machines as attest_machines
from harness.rig import lock
from harness.rig import pair as pairs
from harness.rig.host import Host
from harness.rig.pair import Pair
from tests.attest.machine import Machine, machine
from tests.cli.command import Attest

INVENTORY = """
all:
  vars:
    sodbench_rig: lab
    sodbench_tpm: software
    sodbench_guest_network: {address: 192.0.2.100}
  children:
    hosts: {hosts: {a: {ansible_host: 192.0.2.11}, b: {ansible_host: 192.0.2.12}}}
    clients: {hosts: {client: {ansible_host: 192.0.2.13}}}
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Machine]]:
    folder = tmp_path_factory.mktemp("machines")
    with machine(folder / "a") as first, machine(folder / "b") as second:
        yield {"a": first, "b": second}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    inventory = tmp_path_factory.mktemp("rig") / "inventory.yml"
    inventory.write_text(INVENTORY)
    return pairs.load(inventory)


@pytest.fixture
def attest(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    machines: dict[str, Machine],
    rig: Pair,
) -> Attest:
    """The command for a user of its own, on a rig whose machines are processes here."""

    def here(host: Host, _clock: object) -> LocalAttester:
        return machines[host.role].attester

    def authority(host: Host, folder: str) -> authorities.Authorities:
        assert folder == authorities.HOST_AUTHORITY
        return machines[host.role].authorities

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SODBENCH_REGISTRY", raising=False)
    monkeypatch.setattr(pairs, "load", lambda _inventory, **_: rig)
    monkeypatch.setattr(attest_machines, "RemoteAttester", here)
    monkeypatch.setattr(authorities, "of_machine", authority)
    monkeypatch.setattr(lock, "hold", lambda _host, _purpose: nullcontext())
    return Attest(monkeypatch, capsys)


@pytest.fixture
def enrolled(attest: Attest) -> Attest:
    """Both hosts are enrolled and their reference values recorded."""
    assert attest("enrol", "--key", "ecc-p256").code == 0
    assert attest("reference").code == 0
    return attest
