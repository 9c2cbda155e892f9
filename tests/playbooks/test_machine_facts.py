"""The probe that runs on the machines: pure readers of what the tools print, and null with a reason."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPT = Path(__file__).resolve().parents[2] / "playbooks/roles/verify/files/machine_facts.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("machine_facts", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


facts = load()


def listing(*names: str) -> str:
    counters = [{"counter": {"family": "inet", "name": name, "packets": 0, "bytes": 0}} for name in names]
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *counters]})


def test_cpu_field_takes_the_first_processor() -> None:
    text = "processor\t: 0\nmodel name\t: First: 1\n\nprocessor\t: 1\nmodel name\t: Second\n"
    assert facts.cpu_field(text, "model name") == "First: 1"
    with pytest.raises(facts.UnreadableError, match="flags"):
        facts.cpu_field(text, "flags")


@given(st.lists(st.text("abcdef_0123456789", min_size=1), unique=True), st.randoms())
def test_flags_hash_ignores_order(flags: list[str], random: object) -> None:
    shuffled = sorted(flags, key=lambda flag: flag[::-1])
    assert facts.flags_hash(" ".join(flags)) == facts.flags_hash(" ".join(shuffled))
    assert facts.flags_hash(" ".join(flags)) != facts.flags_hash(" ".join([*flags, "another-flag"]))


def test_memory_is_in_bytes() -> None:
    assert facts.memory_bytes("MemTotal:       24684092 kB\nMemFree: 1 kB\n") == 24684092 * 1024


def test_versions_as_the_tools_print_them() -> None:
    banner = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003-2022 Fabrice Bellard\n"
    assert facts.qemu_version(banner) == "7.2.22 (Debian 1:7.2+dfsg-7)"
    report = "Using library: libvirt 9.0.0\nRunning hypervisor: QEMU 7.2.22\nRunning against daemon: 9.0.0\n"
    assert facts.daemon_version(report) == "9.0.0"
    with pytest.raises(facts.UnreadableError):
        facts.daemon_version("Using library: libvirt 9.0.0\n")


def test_distro_is_the_pretty_name() -> None:
    assert facts.distro('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n') == (
        "Debian GNU/Linux 12 (bookworm)"
    )


def test_all_four_counters_are_needed() -> None:
    assert facts.counters_present(listing("out", "in", "peer_out", "peer_in"))
    with pytest.raises(facts.UnreadableError, match="no counter in, peer_in"):
        facts.counters_present(listing("out", "peer_out"))


TRACKING = "C0000201,192.0.2.1,3,1700000000.1,-0.000012345,0.000001,0.00002,1.5,0.001,0.01,0.02,0.0005,64,{}"


def test_chrony_offset_is_in_seconds_and_null_when_not_synchronised() -> None:
    assert facts.chrony_offset_s(TRACKING.format("Normal")) == pytest.approx(-12.345e-6)
    with pytest.raises(facts.UnreadableError, match="not synchronised"):
        facts.chrony_offset_s(TRACKING.format("Not synchronised"))
    with pytest.raises(facts.UnreadableError, match="2 fields"):
        facts.chrony_offset_s("1,2")


def test_a_bind_mount_of_the_same_file_system_is_a_mount(tmp_path: Path) -> None:
    lines = "36 35 98:0 / / rw - ext4 /dev/vda rw\n37 36 98:0 {0} {0} rw - ext4 /dev/vda rw\n"
    assert facts.mounted(str(tmp_path), lines.format(tmp_path))
    assert not facts.mounted(str(tmp_path / "inside"), lines.format(tmp_path))


def test_a_command_that_fails_gives_its_own_reason(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho 'Error: no such table' >&2\necho '  ^^^^' >&2\nexit 1\n")
    tool.chmod(0o755)
    with pytest.raises(facts.UnreadableError, match="ended with 1: Error: no such table"):
        facts.output_of(str(tool))
    with pytest.raises(facts.UnreadableError, match="No such file"):
        facts.output_of(str(tmp_path / "missing"))


def test_what_cannot_be_read_is_null_with_a_reason_and_never_zero() -> None:
    def unreadable() -> int:
        raise facts.UnreadableError("it is not there")

    found = facts.gather({"cores": lambda: 2, "memory_bytes": unreadable})
    assert found == {"cores": 2, "memory_bytes": None, "reasons": {"memory_bytes": "it is not there"}}


def test_a_bare_machine_yields_json_with_a_reason_for_each_null(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--role", "host", "--storage", str(tmp_path), "--bridge", "none0"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": str(tmp_path)},
    )
    found = json.loads(done.stdout)
    nulls = {name for name, value in found.items() if value is None}
    assert {"qemu_version", "libvirt_version", "storage_id", "wire_counters_present", "tpm_present"} <= nulls
    assert nulls == set(found["reasons"])
    assert found["storage_mounted"] is False
    assert found["bridge_present"] is False
    assert found["storage_free_bytes"] > 0


def test_tsharks_version_is_in_its_banner() -> None:
    banner = "TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as 4.0.17-0+deb12u1).\n\nCopyright 1998-2023\n"
    assert facts.tshark_version(banner) == "4.0.17"
    assert facts.tshark_version("TShark (Wireshark) 4.4.7.\n") == "4.4.7"
    with pytest.raises(facts.UnreadableError, match="no version"):
        facts.tshark_version("tshark: command not found\n")


def test_a_client_publishes_its_generators_and_why_one_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faban/bin").mkdir(parents=True)
    (tmp_path / "faban/bin/fhb").touch()
    (tmp_path / "faban/VERSION").write_text("1.4.2\n")
    (tmp_path / "mstone/bin").mkdir(parents=True)
    (tmp_path / "mstone/bin/mailmaster.pl").touch()  # no VERSION: its installation did not end
    monkeypatch.setattr(facts, "TOOLS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    versions, reasons = facts.generators()
    assert versions == {"locust": None, "tshark": None, "mstone": None, "faban": "1.4.2"}
    assert set(reasons) == {"locust", "tshark", "mstone"}
    assert all(reasons.values())
