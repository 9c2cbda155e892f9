"""Attacks that need little: names that look alike, paths that are options, files that others may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness import cli
from harness.attest.examine import evidence_file
from harness.attest.identity.endorsement import check
from harness.attest.played.software_tpm import SoftwareTpm
from harness.errors import RecordError
from harness.policy.capability_file import looks_like
from harness.registry.errors import RegistryError
from harness.registry.registry import open_registry
from harness.workloads.file import FileOptions
from harness.workloads.stream import StreamOptions
from tests.attest.ek_certificates import NOW, TPM_NAMES, Authority, tpm_names


@pytest.mark.parametrize(
    "name", ["HyperWaIl", "Hyper-Wall", "HYPER WALL", "HyperWa1l", "Hyper_Wall", "HyperWa|l"]
)
def test_a_name_that_looks_like_another_is_that_other(name: str) -> None:
    assert looks_like(name) == looks_like("HyperWall")


@pytest.mark.parametrize(
    ("name", "is_like"),
    [("8astion", "Bastion"), ("Trust2one", "TrustZone"), ("AE9IS", "AEGIS"), ("Clomain", "Domain")],
)
def test_digits_and_letters_that_are_drawn_almost_alike_are_one(name: str, is_like: str) -> None:
    assert looks_like(name) == looks_like(is_like)


def test_the_architectures_of_the_table_look_different() -> None:
    from harness.cli.policy.inputs import table

    names = list(table(None))
    assert len({looks_like(one) for one in names}) == len(names) > 10


@pytest.mark.parametrize("path", ["-rf", "--sout=file:///etc/x", "relative", "", "/a\nb", "/a\x1bb"])
def test_a_path_that_would_be_an_option_is_no_path(path: str) -> None:
    with pytest.raises(ValidationError):
        FileOptions(directory=path)
    with pytest.raises(ValidationError):
        StreamOptions(clip=path)
    assert FileOptions(directory="/var/tmp/-rf").directory == "/var/tmp/-rf"


def test_what_a_verb_writes_is_its_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o022)
    try:
        registry = tmp_path / "registry.sqlite"
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        words = [
            "policy",
            "request",
            "vm-1",
            "--option",
            "1",
            "--why",
            "x",
            "--registry",
            f"sqlite:///{registry}",
        ]
        monkeypatch.setattr("sys.argv", ["sodbench", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        assert registry.stat().st_mode & 0o077 == 0
        assert os.umask(0o022) == 0o022, "the process is left as it was"
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "manufacturer",
    [
        *("id:474F4F47", "id:474f4f47", "id:414D5A4E", "id:564D5700", "id:564D5720", "id:58595A20"),
        *("id:00001014", "ID:00001014", "id: 474F4F47 ", "id:0x474F4F47", "474F4F47", "GOOG", "id:goog"),
    ],
)
def test_a_virtual_tpm_of_a_cloud_is_software(manufacturer: str) -> None:
    tpm, maker = SoftwareTpm("rsa-2048"), Authority()
    names = tpm_names({**TPM_NAMES, "2.23.133.2.1": manufacturer})
    certificate = maker.certify(tpm.ek.public_key(), names=names)
    assert check([certificate], tpm.ek_public, roots=[maker.trusted], now=NOW).software


def test_a_pipe_is_no_file_of_evidence(tmp_path: Path) -> None:
    pipe = tmp_path / "evidence.json"
    os.mkfifo(pipe)
    with pytest.raises(RecordError):
        evidence_file.read(pipe)


def test_a_port_that_is_no_number_is_not_the_url_of_a_registry() -> None:
    with pytest.raises(RegistryError, match="not the URL of a registry"):
        open_registry("postgresql://user@host:port/registry")
