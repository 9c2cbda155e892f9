"""Checks between the machines of a rig and the controller: each is removed once, and its attack succeeds.

:data:`TEMPLATES` has checks that are lines of files which the playbooks write on the hosts. They are rendered
as the roles render them, and judged as the host would.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as Xml

import jinja2
import libvirt
import paramiko
import pytest

from harness import sums
from harness.campaign.run import runner
from harness.campaign.run.runner import Provenance
from harness.clock import NS_PER_S
from harness.errors import GuestError
from harness.migration import driver
from harness.migration.options import MigrationOptions
from harness.registry import database, url
from harness.rig import deadline, lock_holder
from harness.rig.guest import digest, domain, vtpm
from tests.rig.test_guest_xml import SPEC
from tests.security.removed import Attack, Removed, require_needed

URL = "postgresql://me:SECRET@db/registry?sslpassword=SECRET&pass%77ord=SECRET&connect_timeout=5"
ROLES = Path(__file__).parents[2] / "playbooks/roles"


def password_in_the_manifest(folder: Path) -> bool:
    """The registry's URL has a password, in one place or the other, and a manifest goes into archives."""
    plan = SimpleNamespace(attest=object(), campaign="c", hash="0", seed=1)
    plan.migration, plan.variants = SimpleNamespace(encrypted=True), ()
    pair = SimpleNamespace(rig="pair", link_bit_s=None)
    rig = SimpleNamespace(pair=pair, accelerator="kvm", image_key=None, played=False)
    provenance = Provenance(
        campaign_text=b"",
        command_line=(),
        commit=None,
        inventory=None,
        registry=URL,
    )
    run = SimpleNamespace(root=folder)
    made = runner._manifest(cast(Any, run), cast(Any, plan), cast(Any, rig), provenance)
    return "SECRET" not in str(made) and "db/registry" in str(made)


def password_in_a_message(_folder: Path) -> bool:
    """The place of a registry stands in messages and in the anchors of its audit log."""
    return "SECRET" not in database.Database(URL.replace("postgresql", "postgresql+psycopg"), wait_s=1).place


def lock_of_another_user(folder: Path) -> bool:
    """Anybody could hold the lock, or put a link in its place."""
    before = os.umask(0)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lock_holder, "PATH", str(folder / "lock" / "lock"))
            patch.setattr(sys, "stdin", io.StringIO("me\n"))
            patch.setattr(sys, "stdout", io.StringIO())
            lock_holder.main()
    finally:
        os.umask(before)
    return all(path.stat().st_mode & 0o077 == 0 for path in (folder / "lock", folder / "lock/lock"))


def pipe_that_is_walked(folder: Path) -> bool:
    """A pipe and a link lie in a run whose files are summed and packed."""
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/etc/shadow")
    return dict(sums.walk(folder)) == {"pipe": False, "link": False}


class Dripping:
    """A command that prints a byte a second, on a clock that its printing moves, for an hour."""

    def __init__(self) -> None:
        self.at_s = 0
        self.status_event = SimpleNamespace(wait=lambda _limit_s: self.at_s < 3600)

    def now_ns(self) -> int:
        return self.at_s * NS_PER_S

    def settimeout(self, _limit_s: float) -> None:
        """Each byte comes within it."""

    def recv(self, _size: int) -> bytes:
        self.at_s += 1
        return b"." if self.at_s < 3600 else b""

    def recv_stderr(self, _size: int) -> bytes:
        return b""

    def recv_exit_status(self) -> int:
        return 0

    def close(self) -> None:
        """It is closed."""


def byte_a_second(_folder: Path) -> bool:
    """Each byte comes in time, and the last one never."""
    channel = Dripping()
    try:
        deadline.outcome(cast(paramiko.Channel, channel), cast(Any, channel), 60.0)
    except TimeoutError:
        return channel.at_s <= 61
    return False


def plain_migration(_folder: Path) -> bool:
    """A guest's memory would pass the network as it is."""
    return bool(driver.flags(MigrationOptions(tls=True)) & libvirt.VIR_MIGRATE_TLS)


def plain_vtpm(_folder: Path) -> bool:
    """The state of a guest's TPM lies on the hosts as it is."""
    spec = replace(SPEC, tpm=True, vtpm_key=bytes(32))
    found = Xml.fromstring(domain.domain_xml(spec)).find("devices/tpm/backend/encryption")
    return found is not None and found.get("secret") == spec.uuid


class Daemon:
    """A host's libvirt, on which the guest's TPM has that secret; it keeps what it is given."""

    def __init__(self) -> None:
        self.secrets: dict[str, bytes] = {}

    def domain(self, _name: str) -> SimpleNamespace:
        return SimpleNamespace(secret=lambda: SPEC.uuid)

    def set_secret(self, secret: str, _domain: str, value: bytes) -> None:
        self.secrets[secret] = value


def destination_without_the_secret(_folder: Path) -> bool:
    """The destination has lost the secret of the guest's TPM, so that the guest could not arrive."""
    there, key = Daemon(), bytes(32)
    vtpm.send_ahead(cast(Any, Daemon()), cast(Any, there), "d", key)
    return there.secrets == {SPEC.uuid: vtpm.passphrase(key, SPEC.uuid)}


def controller_without_the_key(_folder: Path) -> bool:
    """This controller cannot know the secret: the guest must not be asked to leave."""
    there = Daemon()
    unfit = driver.send_ahead(cast(Any, Daemon()), cast(Any, there), SPEC.guest, b"")
    return unfit is not None and not there.secrets


def other_golden_image(_folder: Path) -> bool:
    """Whoever writes to the shared storage has put another image there."""
    host: Any = SimpleNamespace(role="a", run=lambda _command: "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "taken", lambda *_given, **_more: dict.fromkeys(SPEC.image_files, "0" * 64))
        spec = replace(SPEC, digests=dict.fromkeys(SPEC.image_files, "1" * 64))
        started: Any = SimpleNamespace(start=lambda _xml: None)
        try:
            domain.boot(started, host, spec)
        except GuestError:
            return True
    return False


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (Removed(function=domain._devices, check="if spec.encrypted:", by="if False:"), plain_vtpm),
    (
        Removed(function=vtpm.send_ahead, check="set_for(destination, domain, secret, key)", by="pass"),
        destination_without_the_secret,
    ),
    (Removed(function=vtpm.send_ahead, check="if not key:", by="if False:"), controller_without_the_key),
    (
        Removed(
            function=domain.boot,
            check="digest.require(host, spec.image, spec.digests, spec.image_files)",
            by="pass",
        ),
        other_golden_image,
    ),
    (
        Removed(function=digest.differing, check="found.get(name) != known[name]", by="False"),
        other_golden_image,
    ),
    (
        Removed(
            function=runner._manifest,
            check="url.shown(make_url(provenance.registry))",
            by="provenance.registry",
        ),
        password_in_the_manifest,
    ),
    (
        Removed(function=url.shown, check="hide_password=True", by="hide_password=False"),
        password_in_the_manifest,
    ),
    (
        Removed(function=url.shown, check="_SECRET.search(name)", by="False"),
        password_in_the_manifest,
    ),
    (
        Removed(function=database.Database.__init__, check="shown(asked)", by="str(url)"),
        password_in_a_message,
    ),
    (Removed(function=lock_holder.main, check="mode=0o700, ", by=""), lock_of_another_user),
    (Removed(function=lock_holder.main, check=", 0o600)", by=", 0o666)"), lock_of_another_user),
    (
        Removed(function=sums.walk, check="stat.S_ISREG(path.lstat().st_mode)", by="True"),
        pipe_that_is_walked,
    ),
    (
        Removed(function=sums.walk, check="path.lstat()", by="path.stat()"),
        pipe_that_is_walked,
    ),
    (
        Removed(function=deadline.outcome, check="if left_ns <= 0:", by="if False:"),
        byte_a_second,
    ),
    (
        Removed(function=driver.flags, check="libvirt.VIR_MIGRATE_TLS if options.encrypted else 0", by="0"),
        plain_migration,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)


PEER, STRANGER = "192.0.2.12", "198.51.100.7"
VALUES = {
    "wire_peer": PEER,
    "wire_ports": "49152-49215",
    "kvm_host_migration_address": "192.0.2.11",
    "kvm_host_migration_ports": "49152-49215",
    "kvm_host_tls_folder": "/etc/pki/qemu/sodbench",
    "kvm_host_in_container": False,
    "kvm_host_storage_kind": "nfs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that a role writes on the hosts, a check in it, and what judges whether the file still holds."""

    template: str
    check: str
    by: str
    holds: Callable[[str], bool]


def _rendered(text: str) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["bool"] = bool
    return environment.from_string(text).render(VALUES)


def _chain(rules: str, name: str) -> list[str]:
    found = re.search(rf"chain {name} \{{\n(.*?)\n\t\}}", rules, flags=re.DOTALL)
    return [] if found is None else [line.strip() for line in found[1].splitlines()]


def _verdict(rules: str, address: str) -> str:
    """What is done with the packet that opens a connection from `address` to a port of migrations."""
    opening = [line for line in _chain(rules, "input") if line.endswith("jump opened")]
    if opening != ["tcp dport 49152-49215 tcp flags & (fin | syn | rst | ack) == syn jump opened"]:
        return "accept"
    for line in _chain(rules, "opened"):
        source = re.match(r"ip saddr (\S+) ", line)
        if source is None or source[1] == address:
            return line.split()[-1]
    return "accept"


def peer_alone(rules: str) -> bool:
    """Whether the other host alone can open a connection to a migration's port."""
    return _verdict(rules, PEER) == "accept" and _verdict(rules, STRANGER) == "drop"


def certificate_demanded(settings: str) -> bool:
    """Whether QEMU asks whoever brings a guest for a certificate of the rig's authority."""
    found = dict(re.findall(r"^(\w+) = (.*)$", settings, flags=re.MULTILINE))
    wanted = {
        "migrate_tls_x509_verify": "1",
        "migrate_tls_x509_cert_dir": f'"{VALUES["kvm_host_tls_folder"]}"',
    }
    return {name: found.get(name) for name in wanted} == wanted


def own_interface(settings: str) -> bool:
    """Whether libvirt binds a migration's port to the address for migrations alone."""
    return f'migration_host = "{VALUES["kvm_host_migration_address"]}"' in settings


WIRE, QEMU = "wire/templates/wire.nft.j2", "kvm_host/templates/qemu.conf.j2"
TEMPLATES = (
    Written(
        template=WIRE, check="counter name refused drop", by="counter name refused accept", holds=peer_alone
    ),
    Written(template=WIRE, check="ip saddr {{ wire_peer }} accept", by="accept", holds=peer_alone),
    Written(template=WIRE, check="== syn jump opened", by="== syn accept", holds=peer_alone),
    Written(
        template=QEMU,
        check="migrate_tls_x509_verify = 1",
        by="migrate_tls_x509_verify = 0",
        holds=certificate_demanded,
    ),
    Written(
        template=QEMU,
        check='migrate_tls_x509_cert_dir = "{{ kvm_host_tls_folder }}"\n',
        by="",
        holds=certificate_demanded,
    ),
    Written(
        template=QEMU,
        check='migration_host = "{{ kvm_host_migration_address }}"',
        by='migration_host = "0.0.0.0"',
        holds=own_interface,
    ),
)


@pytest.mark.parametrize("written", TEMPLATES, ids=lambda one: f"{one.template} without {one.check}")
def test_a_file_on_the_hosts_is_no_check_without_its_lines(written: Written) -> None:
    text = (ROLES / written.template).read_text()
    assert text.count(written.check) == 1, "the check has moved"
    assert written.holds(_rendered(text))
    assert not written.holds(_rendered(text.replace(written.check, written.by)))


def test_the_role_that_demands_certificates_makes_them_where_qemu_looks() -> None:
    made = (ROLES / "tls/vars/main.yml").read_text()
    assert f"tls_folder: {VALUES['kvm_host_tls_folder']}\n" in made
