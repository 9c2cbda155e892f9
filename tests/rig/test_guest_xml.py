from __future__ import annotations

import ipaddress
import uuid
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InventoryError
from harness.rig.guest.domain import GuestSpec, domain_xml, specify
from harness.rig.guest.guest import Guest
from harness.rig.guest.kind import SMALL
from harness.rig.pair import Endpoint, GuestNetwork, Pair

GUEST = Guest(name="guest", domain="sodbench-guest", mac="52:54:00:5d:be:4c", address="192.0.2.9")
SPEC = GuestSpec(
    guest=GUEST,
    memory_mib=1024,
    vcpus=2,
    accelerator="tcg",
    image="/srv/sodbench/images/0123",
    folder="/srv/sodbench/guests/sodbench-guest",
    uuid="6a2f4b1e-7a52-4b6f-9d0e-2f1d6c7b8a90",
    cmdline="root=/dev/vda rw",
    bridge="br7",
)


def pair(**network: object) -> Pair:
    return Pair(
        inventory=Path("inventory.yml"),
        rig="pair",
        machines={role: Endpoint(role=role, address=role, user="root") for role in ("a", "b", "client")},
        migration_address={"a": "a", "b": "b"},
        link_bit_s=None,
        storage_path="/srv/shared",
        bridge="br7",
        guest_network=GuestNetwork.model_validate({"address": "192.0.2.9", **network}),
        image_options={},
    )


def domain(spec: GuestSpec) -> Xml.Element:
    return Xml.fromstring(domain_xml(spec))


def attribute(root: Xml.Element, path: str, name: str) -> str | None:
    element = root.find(path)
    assert element is not None, path
    return element.get(name)


def test_the_domain_is_what_the_specification_says() -> None:
    root = domain(SPEC)
    assert root.findtext("name") == "sodbench-guest"
    assert root.findtext("uuid") == SPEC.uuid
    assert (root.findtext("memory"), attribute(root, "memory", "unit")) == ("1024", "MiB")
    assert root.findtext("vcpu") == "2"
    assert root.findtext("os/kernel") == "/srv/sodbench/images/0123/vmlinuz"
    assert root.findtext("os/initrd") == "/srv/sodbench/images/0123/initrd"
    assert root.findtext("os/cmdline") == "root=/dev/vda rw"
    assert attribute(root, "devices/interface/source", "bridge") == "br7"


def test_the_disk_is_the_guests_own_and_is_not_cached_by_the_host() -> None:
    root = domain(SPEC)
    assert attribute(root, "devices/disk/source", "file") == SPEC.disk
    assert attribute(root, "devices/disk/driver", "cache") == "none"
    assert attribute(root, "devices/serial/source", "path") == SPEC.console


def test_an_emulated_guest_has_the_plainest_named_cpu_and_nothing_else_will_do() -> None:
    root = domain(SPEC)
    assert root.get("type") == "qemu"
    assert root.findtext("cpu/model") == "qemu64"
    assert attribute(root, "cpu/model", "fallback") == "forbid"


def test_an_accelerated_guest_is_of_kvm_and_never_passes_the_host_through() -> None:
    root = domain(replace(SPEC, accelerator="kvm"))
    assert root.get("type") == "kvm"
    assert attribute(root, "cpu", "mode") == "host-model"


def test_nothing_but_the_workload_changes_memory() -> None:
    root = domain(SPEC)
    assert attribute(root, "devices/memballoon", "model") == "none"
    assert attribute(root, "devices/controller", "model") == "none"


def test_the_only_guest_of_a_pair_is_what_it_always_was() -> None:
    assert pair().only_guest == GUEST
    assert attribute(domain(SPEC), "devices/interface/mac", "address") == GUEST.mac


def test_a_guest_that_ends_stays_ended() -> None:
    root = domain(SPEC)
    assert {root.findtext(event) for event in ("on_poweroff", "on_reboot", "on_crash")} == {"destroy"}


@given(cmdline=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_any_command_line_survives_the_xml(cmdline: str) -> None:
    assert domain(replace(SPEC, cmdline=cmdline)).findtext("os/cmdline") == cmdline


def test_specify_places_the_guest_on_the_shared_storage() -> None:
    spec = specify(pair(), GUEST, memory_mib=512, vcpus=1, accelerator="kvm", image_key="feed")
    assert spec.image == "/srv/shared/images/feed"
    assert spec.disk == "/srv/shared/guests/sodbench-guest/disk.qcow2"
    assert (spec.memory_mib, spec.vcpus, spec.accelerator, spec.bridge) == (512, 1, "kvm", "br7")
    assert uuid.UUID(spec.uuid).version == 4


def test_each_guest_has_a_uuid_of_its_own() -> None:
    make = [
        specify(pair(), GUEST, memory_mib=512, vcpus=1, accelerator="tcg", image_key="feed") for _ in "12"
    ]
    assert make[0].uuid != make[1].uuid


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ({"gateway": "192.0.2.1"}, "ip=192.0.2.9::192.0.2.1:255.255.255.0:sodbench-guest:eth0:none"),
        ({}, "ip=192.0.2.9:::255.255.255.0:sodbench-guest:eth0:none"),
        ({"prefix": 16}, "ip=192.0.2.9:::255.255.0.0:sodbench-guest:eth0:none"),
    ],
)
def test_the_kernel_is_told_its_address(network: dict[str, object], text: str) -> None:
    spec = specify(pair(**network), GUEST, memory_mib=512, vcpus=1, accelerator="tcg", image_key="feed")
    assert spec.cmdline.split()[-1] == text


@given(prefix=st.integers(0, 32))
def test_the_netmask_is_that_of_the_prefix(prefix: int) -> None:
    spec = specify(pair(prefix=prefix), GUEST, memory_mib=512, vcpus=1, accelerator="tcg", image_key="feed")
    netmask = spec.cmdline.split()[-1].split(":")[3]
    assert netmask == str(ipaddress.ip_network(f"0.0.0.0/{prefix}").netmask)


def test_the_golden_image_keeps_its_owner_and_the_guests_own_layer_becomes_qemus() -> None:
    root = domain(SPEC)
    below = root.find("devices/disk/backingStore")
    assert below is not None
    assert attribute(below, "source", "file") == f"{SPEC.image}/guest.qcow2"
    assert attribute(below, "format", "type") == "qcow2"
    assert attribute(below, "source/seclabel", "model") == "dac"
    assert attribute(below, "source/seclabel", "relabel") == "no"
    assert below.find("backingStore") is not None  # libvirt need not look for a further layer
    assert root.find("devices/disk/source/seclabel") is None


def test_several_guests_differ_in_all_that_tells_guests_apart() -> None:
    found = pair().guests(["g1", "g2", "g3"])
    assert [one.address for one in found] == ["192.0.2.9", "192.0.2.10", "192.0.2.11"]
    for told in ("name", "domain", "mac", "address"):
        assert len({getattr(one, told) for one in found}) == 3, told
    folders = {
        specify(pair(), one, memory_mib=256, vcpus=1, accelerator="tcg", image_key="feed").folder
        for one in found
    }
    assert len(folders) == 3


@pytest.mark.parametrize(
    ("network", "said"),
    [({"gateway": "192.0.2.10"}, "192.0.2.10 is the gateway's"), ({"prefix": 31}, "has no more")],
)
def test_an_address_that_is_taken_or_outside_the_network_is_refused(
    network: dict[str, object], said: str
) -> None:
    with pytest.raises(InventoryError, match="no address for the guest") as caught:
        pair(**network).guests(["g1", "g2", "g3"])
    assert said in caught.value.why


def small(*, tpm: bool) -> GuestSpec:
    return specify(
        pair(), GUEST, memory_mib=256, vcpus=1, accelerator="tcg", image_key="feed", tpm=tpm, kind=SMALL
    )


def test_a_small_guest_has_no_disk_and_no_root_but_its_initramfs() -> None:
    spec = small(tpm=False)
    root = domain(spec)
    assert root.find("devices/disk") is None
    assert root.findtext("os/initrd") == "/srv/shared/images/feed/initrd"
    assert root.findtext("os/kernel") == "/srv/shared/images/feed/vmlinux"
    assert spec.cmdline.startswith("console=ttyS0 ")
    assert "root=" not in spec.cmdline


def test_a_small_guest_with_a_tpm_starts_from_the_initramfs_with_the_attester() -> None:
    root = domain(small(tpm=True))
    assert root.findtext("os/initrd") == "/srv/shared/images/feed/initrd.measured"
    assert root.findtext("os/kernel") == "/srv/shared/images/feed/vmlinuz"
    assert root.find("devices/tpm") is not None


def test_a_standard_guest_starts_from_the_same_initramfs_with_a_tpm() -> None:
    assert domain(replace(SPEC, tpm=True)).findtext("os/initrd") == "/srv/sodbench/images/0123/initrd"
