"""Where the lab's machines come from: the controller's own archives, whichever Debian the controller is."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.errors import PrerequisiteError
from harness.rig.lab import base

ROLE = Path(__file__).resolve().parents[2] / "playbooks/roles/packages"
SITE, SECURITY = "http://mirror.example/debian", "http://mirror.example/debian-security"


def listed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(base, "run", lambda *_arguments, **_options: "\n".join(lines))


@pytest.mark.parametrize("codename", ["bookworm", "trixie"])
def test_a_later_debian_gives_the_lab_debian_12_of_its_archives(
    codename: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(
        monkeypatch,
        f"{SITE}|{codename}|main|Packages",
        f"{SITE}|{codename}|main|Translations",
        f"{SECURITY}|{codename}-security|main|Packages",
        "http://other.example|stable|main|Packages",
    )
    assert base.apt_sources() == f"deb {SITE} bookworm main\ndeb {SECURITY} bookworm-security main\n"


def test_a_controller_without_debians_archives_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, "http://archive.example/ubuntu|noble|main|Packages")
    with pytest.raises(PrerequisiteError, match="Debian 12") as caught:
        base.apt_sources()
    assert "bookworm" in caught.value.remedy


def test_a_lab_without_backports_is_not_built_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_options: object) -> None:
        raise OSError("404")

    listed(monkeypatch, f"{SITE}|bookworm|main|Packages")
    monkeypatch.setattr(urllib.request, "urlopen", refused)
    monkeypatch.setattr(Path, "is_dir", lambda _path: True)  # the base is there already
    said: list[str] = []
    base.base(tmp_path, (), said.append)
    (warning,) = said
    assert "QEMU 7.2" in warning
    assert "bookworm-backports" in warning


def test_real_hosts_get_the_pin_that_the_labs_have() -> None:
    assert (ROLE / "files/qemu-backports").read_text() == base.FILES["etc/apt/preferences.d/sodbench"]
    tasks = YAML(typ="safe").load(ROLE / "tasks/backports.yml")
    pin = next(task["ansible.builtin.copy"] for task in tasks if "ansible.builtin.copy" in task)
    assert (pin["src"], pin["dest"]) == ("qemu-backports", "/etc/apt/preferences.d/sodbench")
