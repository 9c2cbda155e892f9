"""What the doctor says of shared storage on NFS, by what the kernel and exportfs(8) print.

The output of ``exportfs -v`` was recorded from nfs-utils 2.6.2; the lines of /proc/mounts have the form of
Linux 6.1, whose nfs_show_options() writes them.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.rig.doctor.checks import Check, Facts, MachineFacts, checks, nothing_missing
from harness.rig.doctor.storage import command, storage_of
from tests.rig.test_doctor import ANSWERS, FIT

PATH = "/srv/sodbench"
OPTIONS = "rw,nosuid,nodev,noatime,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,hard,proto=tcp,timeo=600"
REST = "retrans=2,sec=krb5p,clientaddr=192.0.2.11,local_lock=none,addr=192.0.2.5"
GOOD = f"192.0.2.5:/export/sodbench {PATH} nfs4 {OPTIONS},{REST} 0 0\n"
OTHERS = "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\n/dev/vda1 / ext4 rw,relatime 0 0\n"
EXPORTS = (
    "/export/sodbench\n"
    "\t\t192.0.2.11(sync,wdelay,hide,no_subtree_check,sec=krb5p,rw,no_root_squash,no_all_squash)\n"
    "/export/sodbench\n"
    "\t\t192.0.2.12(sync,wdelay,hide,no_subtree_check,sec=krb5p,rw,no_root_squash,no_all_squash)\n"
    "/home         \t192.0.2.0/24(sync,wdelay,hide,no_subtree_check,sec=sys,rw,root_squash,no_all_squash)\n"
    "/home         \t<world>(sync,wdelay,hide,no_subtree_check,sec=sys:krb5,ro,root_squash,no_all_squash)\n"
)


def said(mounts: str, *, owner: str = "0", exports: str = "", client: str = "") -> dict[str, Check]:
    """The checks of host a's storage, by name; the client may be the server."""
    a = replace(ANSWERS["a"], storage=storage_of(f"{owner}\n{OTHERS}{mounts}\n{exports}", PATH))
    server = replace(ANSWERS["client"], storage=storage_of(f"\n{OTHERS}\n{client}", PATH))
    machines: dict[str, MachineFacts] = {**ANSWERS, "a": a, "client": server}
    found = checks(Facts(controller=FIT, lab=None, machines=machines, inventory="my.yml"))
    return {one.name: one for one in found if "storage" in one.name}


def test_storage_that_is_mounted_as_it_should_be_is_ok() -> None:
    found = said(GOOD, client=EXPORTS)
    assert {name: one.level for name, one in found.items()} == {
        "a: storage mount": "ok",
        "a: storage security": "ok",
        "a: storage owner": "ok",
        "a: storage export": "ok",
    }
    assert found["a: storage export"].found == "/export/sodbench is exported to 192.0.2.11, 192.0.2.12"


@pytest.mark.parametrize(
    ("old", "new", "name", "word"),
    [
        ("nosuid,", "", "a: storage mount", "without nosuid"),
        ("nodev,", "", "a: storage mount", "without nodev"),
        ("nosuid,nodev,", "", "a: storage mount", "without nosuid and nodev"),
        ("sec=krb5p", "sec=sys", "a: storage security", "sec=sys"),
        ("sec=krb5p", "sec=krb5i", "a: storage security", "sec=krb5i"),
        (",sec=krb5p", "", "a: storage security", "not named"),
    ],
)
def test_a_weaker_mount_is_a_warning_with_what_to_do(old: str, new: str, name: str, word: str) -> None:
    found = said(GOOD.replace(old, new))
    assert {one.name for one in found.values() if one.level != "ok"} == {name}
    assert found[name].level == "warning"
    assert word in found[name].found
    assert found[name].remedy


def test_root_squash_is_missing_what_libvirt_needs() -> None:
    found = said(GOOD, owner="65534")
    assert found["a: storage owner"].level == "missing"
    assert "root_squash" in found["a: storage owner"].found
    assert not nothing_missing(list(found.values()))
    assert "a: storage owner" not in said(GOOD, owner="")


@pytest.mark.parametrize(
    "client", ["192.0.2.0/24", "*", "<world>", "*.example.org", "@hosts", "2001:db8::/64"]
)
def test_an_export_to_more_than_single_machines_is_a_warning(client: str) -> None:
    found = said(GOOD, client=EXPORTS.replace("192.0.2.12(", f"{client}("))
    assert found["a: storage export"].level == "warning"
    assert client in found["a: storage export"].found


def test_an_export_of_another_folder_or_server_says_nothing() -> None:
    assert "a: storage export" not in said(GOOD, client=EXPORTS.replace("/export/sodbench", "/export/other"))
    assert "a: storage export" not in said(GOOD)


def test_the_last_mount_at_a_place_counts_and_its_name_may_have_blanks() -> None:
    below = GOOD.replace("nosuid,nodev,", "")
    assert said(below + GOOD)["a: storage mount"].level == "ok"
    assert said(GOOD + below)["a: storage mount"].level == "warning"
    blank = storage_of("0\n" + GOOD.replace(PATH, "/srv/a\\040b") + "\n", "/srv/a b")
    assert blank.is_nfs
    assert blank.source == "192.0.2.5:/export/sodbench"


@pytest.mark.parametrize("mounts", ["", f"/dev/vdb {PATH} ext4 rw,relatime 0 0\n", "rubbish\n", "\n\n"])
def test_storage_that_is_no_nfs_is_not_judged(mounts: str) -> None:
    assert said(mounts) == {}


def test_this_machine_answers_the_command(tmp_path: Path) -> None:
    (tmp_path / ".sodbench-storage").write_text("x")
    done = subprocess.run(["sh", "-c", command(str(tmp_path))], capture_output=True, text=True, check=False)
    found = storage_of(done.stdout, "/proc")
    assert (found.kind, found.source) == ("proc", "proc")
    assert found.owner == tmp_path.stat().st_uid
    gone = subprocess.run(["sh", "-c", command("/nowhere")], capture_output=True, text=True, check=False)
    assert storage_of(gone.stdout, "/proc").owner is None
