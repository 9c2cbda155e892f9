from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.doctor import plain
from harness.rig.doctor.certificate import Certificate, certificate_of
from harness.rig.doctor.checks import (
    FEATURES,
    GIB,
    PROGRAMS,
    Check,
    ControllerFacts,
    Facts,
    MachineFacts,
    checks,
    nothing_missing,
)
from harness.rig.doctor.facts import (
    feature_presence,
    kernel_features,
    lock_holder_of,
    parse_addresses,
    standing,
)

FIT = ControllerFacts(
    root=True,
    sudo=True,
    distribution="debian",
    release="12",
    programs=dict.fromkeys(PROGRAMS, True),
    features=dict.fromkeys(FEATURES, "present"),
    tun_device=True,
    kvm_device=True,
    cache="/var/cache/sodbench/lab",
    disk_free_bytes=50 * 10**9,
    memory_bytes=16 * GIB,
    cores=4,
    addresses=[("lo", "127.0.0.1/8"), ("eth0", "192.0.2.7/24"), ("sodbr0", "198.18.0.1/24")],
    package_errors={"libvirt": None},
    ansible_playbook=True,
    apt_sources=3,
)
UP = {"a": True, "b": True, "client": True}
ANSWERS = {
    role: MachineFacts(address=f"192.0.2.{number}", provisioned="current", libvirt_error=error)
    for number, (role, error) in enumerate([("a", ""), ("b", ""), ("client", None)])
}


def found(facts: Facts, name: str) -> Check:
    (only,) = [check for check in checks(facts) if check.name == name]
    return only


def controller(**changes: Any) -> Facts:
    return Facts(controller=replace(FIT, **changes), lab=UP)


def test_a_fit_controller_lacks_nothing_and_only_kvm_is_unproved() -> None:
    judged = checks(Facts(controller=FIT, lab=UP))
    assert nothing_missing(judged)
    assert [check.name for check in judged if check.level != "ok"] == ["acceleration"]


@pytest.mark.parametrize(
    ("changes", "name", "level", "remedy"),
    [
        ({"root": False}, "root", "warning", "sudo sodbench lab up"),
        ({"root": False, "sudo": False}, "root", "missing", "apt-get install sudo"),
        ({"distribution": "debian", "release": "11"}, "system", "missing", "Debian 12"),
        ({"distribution": "ubuntu", "release": "22.04"}, "system", "missing", "24.04"),
        ({"distribution": "fedora", "release": "41"}, "system", "warning", "Debian 12"),
        ({"distribution": None, "release": None}, "system", "warning", "Debian 12"),
        ({"programs": {**FIT.programs, "nft": False}}, "nft", "missing", "sudo apt-get install nftables"),
        ({"programs": {}}, "mmdebstrap", "warning", "sudo apt-get install mmdebstrap"),
        ({"features": {**FIT.features, "tbf": "absent"}}, "kernel: tbf", "missing", "sudo modprobe sch_tbf"),
        ({"features": {}}, "kernel: overlay", "warning", "sudo modprobe overlay"),
        ({"tun_device": False}, "/dev/net/tun", "missing", "sudo modprobe tun"),
        ({"disk_free_bytes": 9 * 10**9}, "disk", "missing", "/var/cache/sodbench/lab"),
        ({"disk_free_bytes": None}, "disk", "warning", "/var/cache/sodbench/lab"),
        ({"memory_bytes": 4 * GIB}, "memory", "missing", "more memory"),
        ({"memory_bytes": None}, "memory", "warning", "more memory"),
        ({"cores": 1}, "cores", "warning", "2 cores"),
        ({"cores": None}, "cores", "warning", "2 cores"),
        ({"addresses": [("tun0", "198.18.0.5/32")]}, "addresses 198.18.0.0/24", "missing", "ip address del"),
        ({"addresses": [("eth1", "198.18.9.9/15")]}, "addresses 198.18.0.0/24", "missing", "ip address del"),
        ({"addresses": None}, "addresses 198.18.0.0/24", "warning", "iproute2"),
        (
            {"package_errors": {"libvirt": "libvirt.so.0: not found"}},
            "Python packages",
            "missing",
            "pip install",
        ),
        ({"ansible_playbook": False}, "ansible-playbook", "missing", "pip install ansible-core"),
        ({"apt_sources": 0, "apt_error": "none configured"}, "Debian packages", "missing", "bookworm main"),
        ({"kvm_device": False}, "acceleration", "warning", "firmware"),
    ],
)
def test_what_is_not_fit_is_said_with_its_remedy(
    changes: dict[str, Any], name: str, level: str, remedy: str
) -> None:
    judged = checks(controller(**changes))
    check = found(controller(**changes), name)
    assert check.level == level
    assert remedy in check.remedy
    assert nothing_missing(judged) == (level != "missing")


def test_a_broken_package_is_named_with_its_error() -> None:
    check = found(
        controller(package_errors={"libvirt": "no libvirt.so.0", "fabric": None}), "Python packages"
    )
    assert check.found == "libvirt: no libvirt.so.0"


def test_the_presence_of_the_kvm_device_is_never_taken_for_acceleration() -> None:
    check = found(Facts(controller=FIT, lab=UP), "acceleration")
    assert check.level == "warning"
    assert "proves nothing" in check.found


def test_a_boot_that_was_seen_answers_for_acceleration() -> None:
    machines = {
        role: replace(one, accelerator=None if role == "client" else "tcg") for role, one in ANSWERS.items()
    }
    check = found(Facts(controller=FIT, lab=UP, machines=machines), "acceleration")
    assert (check.level, check.found.startswith("a: tcg, b: tcg")) == ("ok", True)


@pytest.mark.parametrize(
    ("lab", "level", "text"),
    [
        (UP, "ok", "up"),
        (dict.fromkeys(UP, False), "warning", "down"),
        ({**UP, "b": False}, "warning", "b does not answer"),
    ],
)
def test_the_lab_is_up_down_or_half_up(lab: dict[str, bool], level: str, text: str) -> None:
    check = found(Facts(controller=FIT, lab=lab), "lab")
    assert (check.level, check.found) == (level, text)


def test_a_real_pair_needs_nothing_of_the_lab() -> None:
    bare = replace(
        FIT,
        root=False,
        sudo=False,
        programs={**dict.fromkeys(PROGRAMS, False), "ssh": True, "ssh-keygen": True},
        features={},
        tun_device=False,
        disk_free_bytes=10**9,
        memory_bytes=GIB,
        apt_sources=0,
    )
    facts = Facts(controller=bare, lab=None, machines=ANSWERS, inventory="pair.yml")
    assert nothing_missing(checks(facts))
    assert not {"root", "lab", "mmdebstrap", "kernel: tbf"} & {check.name for check in checks(facts)}


def rig(role: str, **changes: Any) -> Facts:
    machines = {**ANSWERS, role: replace(ANSWERS[role], **changes)}
    return Facts(controller=FIT, lab=None, machines=machines, inventory="pair.yml")


def test_an_unreachable_machine_is_missing_and_asked_nothing_else() -> None:
    facts = rig("b", unreachable="no route to host", remedy="check that it is up")
    check = found(facts, "b: ssh")
    assert (check.level, check.found, check.remedy) == ("missing", "no route to host", "check that it is up")
    assert not [one for one in checks(facts) if one.name in ("b: provisioned", "b: libvirt")]


def test_without_host_a_nothing_is_said_about_the_lock() -> None:
    assert "lock" not in {check.name for check in checks(rig("a", unreachable="gone"))}


@pytest.mark.parametrize(
    ("standing_", "level"), [("current", "ok"), ("older", "warning"), ("never", "warning")]
)
def test_provisioning_is_judged_with_the_command_for_that_inventory(standing_: str, level: str) -> None:
    check = found(rig("a", provisioned=standing_), "a: provisioned")
    assert check.level == level
    assert check.remedy == ("" if level == "ok" else "sodbench provision --inventory pair.yml")


@pytest.mark.parametrize(
    ("provisioned", "error", "level"),
    [("current", "", "ok"), ("current", "refused", "missing"), ("never", "refused", "warning")],
)
def test_a_silent_libvirt_is_a_fault_only_where_it_was_installed(
    provisioned: str, error: str, level: str
) -> None:
    assert found(rig("b", provisioned=provisioned, libvirt_error=error), "b: libvirt").level == level


def test_the_holder_of_the_lock_is_named() -> None:
    check = found(rig("a", holder="ada@desk (process 7): sodbench run demo"), "lock")
    assert check.level == "warning"
    assert "ada@desk" in check.found
    assert found(rig("b"), "lock").level == "ok"


CONTROLLERS = st.builds(
    replace,
    st.just(FIT),
    root=st.booleans(),
    sudo=st.booleans(),
    distribution=st.none() | st.sampled_from(["debian", "ubuntu", "arch"]),
    release=st.none() | st.sampled_from(["11", "12", "13", "24.04", "rolling", ""]),
    programs=st.dictionaries(st.sampled_from(sorted(PROGRAMS)), st.booleans()),
    features=st.dictionaries(
        st.sampled_from(sorted(FEATURES)), st.sampled_from(["present", "absent", "unknown"])
    ),
    disk_free_bytes=st.none() | st.integers(0, 10**12),
    memory_bytes=st.none() | st.integers(0, 10**12),
    cores=st.none() | st.integers(1, 64),
    addresses=st.none() | st.lists(st.tuples(st.just("x"), st.ip_addresses().map(lambda ip: f"{ip}/24"))),
    kvm_device=st.booleans(),
)


@given(here=CONTROLLERS, lab=st.none() | st.fixed_dictionaries(dict.fromkeys(UP, st.booleans())))
def test_every_check_that_is_not_ok_has_a_remedy_and_names_are_unique(
    here: ControllerFacts, lab: dict[str, bool] | None
) -> None:
    judged = checks(Facts(controller=here, lab=lab))
    assert all(bool(check.remedy) == (check.level != "ok") for check in judged)
    assert all(check.found and check.why for check in judged)
    assert len({check.name for check in judged}) == len(judged)


@given(here=CONTROLLERS)
def test_what_is_unknown_is_never_ok(here: ControllerFacts) -> None:
    judged = {check.name: check.level for check in checks(Facts(controller=here, lab=UP))}
    unknown = {
        "disk": here.disk_free_bytes is None,
        "memory": here.memory_bytes is None,
        "cores": here.cores is None,
        "addresses 198.18.0.0/24": here.addresses is None,
        **{name: name not in here.programs for name in PROGRAMS},
        **{f"kernel: {name}": here.features.get(name, "unknown") == "unknown" for name in FEATURES},
    }
    assert all(judged[name] == "warning" for name, is_unknown in unknown.items() if is_unknown)


def test_plain_lines_are_aligned_and_explain_only_what_is_not_ok() -> None:
    fine = Check(name="disk", level="ok", found="50 GB", why="room")
    bad = Check(name="memory", level="missing", found="1 GiB", why="guests", remedy="buy some")
    assert plain([fine, bad]) == [
        "ok       disk    50 GB",
        "missing  memory  1 GiB",
        "                 why: guests",
        "                 do:  buy some",
    ]


@pytest.mark.parametrize(
    ("config", "known", "seen", "loadable", "expected"),
    [
        ("y", True, False, None, "present"),
        (None, False, True, None, "present"),
        ("m", True, False, True, "present"),
        ("m", True, False, False, "absent"),
        (None, True, False, None, "absent"),
        ("m", True, False, None, "unknown"),
        (None, False, False, None, "unknown"),
        (None, False, False, False, "absent"),
    ],
)
def test_a_kernel_feature_is_judged_by_all_that_is_known(
    config: str | None, known: bool, seen: bool, loadable: bool | None, expected: str
) -> None:
    judged = feature_presence(config_value=config, config_known=known, seen=seen, loadable=loadable)
    assert judged == expected


def test_this_kernel_is_asked_about_every_feature() -> None:
    assert set(kernel_features()) == set(FEATURES)


def test_addresses_are_read_from_ip_json() -> None:
    links = [
        {"ifname": "eth0", "addr_info": [{"family": "inet", "local": "192.0.2.2", "prefixlen": 24}]},
        {"ifname": "down0", "addr_info": []},
        {"ifname": "odd0", "addr_info": [{}]},
    ]
    assert parse_addresses(json.dumps(links)) == [("eth0", "192.0.2.2/24")]


DEVICE = os.makedev(0, 26)
LOCKS = (
    "1: POSIX  ADVISORY  WRITE 77 00:1a:9 0 EOF\n"
    "2: FLOCK  ADVISORY  WRITE 812 00:1a:42 0 EOF\n"
    "3: FLOCK  ADVISORY  WRITE 813 00:19:43 0 EOF\n"
)


@pytest.mark.parametrize(
    ("inode", "text", "holder"),
    [
        (42, "ada, since noon\n", "ada, since noon"),
        (42, "", "a holder that gave no name"),
        (43, "killed holder's leftover\n", None),
        (9, "posix lock only\n", None),
    ],
)
def test_the_lock_is_held_only_when_the_kernel_says_so(inode: int, text: str, holder: str | None) -> None:
    assert lock_holder_of(f"{DEVICE} {inode}\n{text}\n{LOCKS}") == holder


def test_a_lock_file_that_is_not_there_is_held_by_nobody() -> None:
    assert lock_holder_of("") is None


def test_a_mark_says_by_which_playbooks_a_machine_was_provisioned() -> None:
    assert [standing(mark, "abc") for mark in ("abc\n", "old\n", "")] == ["current", "older", "never"]


NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("certificate", "level", "word"),
    [
        (Certificate(begin=NOW - DAY, end=NOW + 300 * DAY, now=NOW), "ok", "lasts"),
        (Certificate(begin=NOW - DAY, end=NOW + 29 * DAY, now=NOW), "warning", "lasts"),
        (Certificate(begin=NOW - 9 * DAY, end=NOW - DAY, now=NOW), "warning", "has expired"),
        (Certificate(begin=NOW, end=NOW + DAY, now=NOW - DAY / 144), "warning", "its clock says 11:50"),
        (certificate_of("1790000000\n"), "warning", "no certificate"),
        (certificate_of("1790000000\nrubbish"), "warning", "cannot be read"),
    ],
)
def test_what_a_host_encrypts_migrations_with_is_judged_by_its_own_clock(
    certificate: Certificate, level: str, word: str
) -> None:
    host = replace(ANSWERS["a"], certificate=certificate)
    facts = Facts(controller=FIT, lab=UP, machines={**ANSWERS, "a": host})
    check = found(facts, "a: encryption")
    assert (check.level, word in check.found) == (level, True), check
