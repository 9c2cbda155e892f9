"""What role `verify` says of a host, and the IMA policy that role `ima` gives to a real one."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks import local_plays
from tests.playbooks.test_lint import load
from tests.playbooks.test_machine_facts import facts
from tests.skips import as_root

pytestmark = pytest.mark.programs

VERIFY = local_plays.PLAYBOOKS / "roles/verify"
POLICY = local_plays.PLAYBOOKS / "roles/ima/files/ima-policy"
FIT: dict[str, Any] = {
    "psutil_version": "5.9",
    "ping_present": True,
    "in_container": False,
    "chrony_offset_s": -12e-6,
    "reasons": {},
}


def rules() -> list[str]:
    return [line for line in POLICY.read_text().splitlines() if line and not line.startswith("#")]


def judged(folder: Path, **other: Any) -> str:
    """What `verify` says of a machine with these facts: its message, or nothing."""
    (task,) = (one for one in load(VERIFY / "tasks/main.yml") if one["name"] == "Judge a machine of any kind")
    variables = {**load(VERIFY / "defaults/main.yml"), "sodbench_facts": {**FIT, **other}}
    done = local_plays.local(folder, [task], variables)
    assert (done.returncode == 0) == ("Remedy" not in done.stdout), done.stdout
    return " ".join(done.stdout.split()) if done.returncode else ""


def test_a_machine_with_a_synchronised_clock_is_fit(tmp_path: Path) -> None:
    assert judged(tmp_path) == ""


def test_a_clock_that_is_off_is_told_with_its_offset_and_a_remedy(tmp_path: Path) -> None:
    said = judged(tmp_path, chrony_offset_s=47.25)
    assert "a: the clock is not synchronised within 0.1 s: it is 47.25 s from NTP time" in said
    assert "sodbench_time_servers" in said


def test_a_clock_that_nothing_keeps_is_told_with_the_reason(tmp_path: Path) -> None:
    why = {"chrony_offset_s": "chrony is not synchronised"}
    said = judged(tmp_path, chrony_offset_s=None, reasons=why)
    assert "not synchronised within 0.1 s: chrony is not synchronised" in said


def test_a_containers_clock_is_not_its_own(tmp_path: Path) -> None:
    why = {"chrony_offset_s": "No such file"}
    assert judged(tmp_path, in_container=True, chrony_offset_s=None, reasons=why) == ""


def test_a_container_is_told_from_a_machine() -> None:
    assert facts.in_container("systemd-nspawn")
    assert not facts.in_container("none")


# The grammar is the kernel's: Documentation/ABI/testing/ima_policy.


def test_the_policy_is_one_that_the_kernel_takes_and_measures_nothing_that_is_merely_read() -> None:
    functions = ["BPRM", "MMAP", "MODULE", "FIRMWARE", "KEXEC_KERNEL", "KEXEC_INITRAMFS", "POLICY"]
    for rule in rules():
        assert re.fullmatch(r"measure func=[A-Z_]+( mask=MAY_EXEC)?", rule), rule
    assert {rule.split()[1] for rule in rules()} == {f"func={one}_CHECK" for one in functions}
    assert "FILE_CHECK" not in POLICY.read_text()
    assert all(len(line) < 512 for line in POLICY.read_text().splitlines())


SECURE_BOOT = ["appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig ", "measure func=MODULE_CHECK "]
TCB = ["dont_measure fsmagic=0x9fa0", "measure func=FILE_CHECK mask=^MAY_READ euid=0"]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda ours: [f"{rule} " for rule in ours], True),
        (lambda ours: [*SECURE_BOOT, *ours], True),
        (lambda ours: ours[1:], False),
        (lambda ours: [*ours, *TCB], False),
        (lambda _ours: TCB, False),
        (lambda _ours: [], False),
    ],
    ids=["as the kernel shows it", "Secure Boot", "one missing", "reads as well", "tcb", "none"],
)
def test_whether_the_policy_in_force_is_the_wanted_one(
    change: Callable[[list[str]], list[str]], wanted: bool
) -> None:
    assert facts.ima_policy_wanted("\n".join(change(rules())), ";".join(rules())) is wanted


def test_a_policy_that_nobody_wants_or_that_cannot_be_read_is_null_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "IMA_POLICY", str(tmp_path / "none"))
    found = facts.gather(
        {"one": lambda: facts.ima_policy_current(""), "two": lambda: facts.ima_policy_current("x")}
    )
    assert (found["one"], found["two"]) == (None, None)
    assert "No such file" in found["reasons"]["two"]


def test_a_real_hosts_policy_in_force_is_judged(tmp_path: Path) -> None:
    items = load(VERIFY / "tasks/host.yml")[0]
    items["loop"] = [item for item in items["loop"] if item["check"] == "IMA policy"]
    variables = load(VERIFY / "defaults/main.yml")
    for current, fit in ((True, True), (None, True), (False, False)):
        done = local_plays.local(
            tmp_path, [items], {**variables, "sodbench_facts": {"ima_policy_current": current, "reasons": {}}}
        )
        assert (done.returncode == 0) is fit, done.stdout
    assert "reboot the host" in done.stdout


def test_what_could_not_be_read_is_told_with_its_remedy_like_what_is_wrong(tmp_path: Path) -> None:
    judging = load(VERIFY / "tasks/host.yml")[0]
    readers = facts.host_only(argparse.Namespace(storage="/none", bridge="br0", tpm="hardware"))
    unread: dict[str, Any] = {**dict.fromkeys(readers), "bridge_present": False, "storage_mounted": False}
    unread["reasons"] = dict.fromkeys(readers, "made up")
    variables = {**load(VERIFY / "defaults/main.yml"), "sodbench_tpm": "hardware", "sodbench_facts": unread}
    done = local_plays.local(tmp_path, [judging], variables)
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "Broken conditionals" not in done.stdout + done.stderr
    for item in judging["loop"]:
        if item["check"] != "IMA policy":  # which a kernel may keep to itself
            assert re.search(rf"failed: \[a\] \(item={item['check']}\)", said), item["check"]


def given(folder: Path, **other: Any) -> dict[str, Any]:
    return {
        "ima_tpm": "hardware",
        "ima_in_container": False,
        "ima_file": str(folder / "ima/ima-policy"),
        "ima_kernel_policy": str(folder / "policy"),
        **other,
    }


@as_root
def test_the_role_writes_the_policy_once_and_says_that_a_reboot_is_needed_until_it_is_in_force(
    tmp_path: Path,
) -> None:
    for changes in (2, 0):  # also where nothing was changed this time
        done = local_plays.local(tmp_path, [local_plays.role("ima")], given(tmp_path))
        assert local_plays.changed(done) == changes, done.stdout
        assert "must be rebooted" in done.stdout
    assert (tmp_path / "ima/ima-policy").read_text() == POLICY.read_text()
    (tmp_path / "policy").write_text("".join(f"{rule} \n" for rule in rules()))
    done = local_plays.local(tmp_path, [local_plays.role("ima")], given(tmp_path))
    assert "must be rebooted" not in done.stdout
    done = local_plays.local(tmp_path, [local_plays.role("ima", "remove")], given(tmp_path))
    assert not (tmp_path / "ima/ima-policy").exists(), done.stdout


@as_root
def test_a_policy_of_somebody_elses_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "ima").mkdir()
    (tmp_path / "ima/ima-policy").write_text("appraise fowner=0\n")
    done = local_plays.local(tmp_path, [local_plays.role("ima")], given(tmp_path))
    assert done.returncode != 0
    assert "sodbench_ima_manage" in done.stdout
    done = local_plays.local(tmp_path, [local_plays.role("ima", "remove")], given(tmp_path))
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "ima/ima-policy").read_text() == "appraise fowner=0\n"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"ima_in_container": True}, "container"),
        ({"ima_tpm": "software"}, "software"),
        ({"ima_manage": False}, "false"),
    ],
)
def test_where_there_is_no_policy_to_write_the_role_says_why(
    other: dict[str, Any], why: str, tmp_path: Path
) -> None:
    done = local_plays.local(tmp_path, [local_plays.role("ima")], given(tmp_path, **other))
    assert done.returncode == 0, done.stdout
    assert re.search(rf"gets no IMA policy: .*{why}", " ".join(done.stdout.split()))
    assert not (tmp_path / "ima").exists()
