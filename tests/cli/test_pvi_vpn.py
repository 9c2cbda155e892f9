"""`sodbench pvi vpn`: a peer's settings, written from files of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.errors import PrerequisiteError, UsageError
from harness.pvi.factory.trust import CertificateRefusedError
from tests.cli.command import Pvi
from tests.pvi.factory.places import EC_KEY

LINK = "vm-1 192.0.2.9 192.0.2.1 10.77.0.9/32 10.77.0.1/32"


@pytest.fixture
def peer(pvi: Pvi, tmp_path: Path) -> tuple[str | Path, ...]:
    """The arguments for a peer that the factory has certified."""
    pvi.owner("init", "shop")
    own, key = tmp_path / "own", tmp_path / "key"
    asked = ("issue", "vpn", "client-1", "--key", tmp_path / "request", "--address", "192.0.2.9")
    assert pvi.owner(*asked, "--out", own).code == 0
    key.write_bytes(EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    return "--certificate", own, "--key", key, "--trust", pvi.folder / "trust", "--userspace"


def test_a_peers_settings_are_written_and_told(
    pvi: Pvi, peer: tuple[str | Path, ...], tmp_path: Path
) -> None:
    said = pvi("vpn", tmp_path / "vpn", "--link", LINK, *peer)
    assert said.code == 0, said.err
    assert "the peer client-1; ESP is done by strongSwan itself" in said.out
    written = (tmp_path / "vpn/swanctl.conf").read_text()
    assert 'id = "OU=vpn, CN=client-1"' in written
    assert 'id = "OU=vpn, CN=vm-1"' in written
    assert "PRIVATE" not in said.out


def test_what_is_wrong_with_a_link_or_a_key_is_said(
    pvi: Pvi, peer: tuple[str | Path, ...], tmp_path: Path
) -> None:
    out = tmp_path / "vpn"
    said = pvi("vpn", out, "--link", "vm-1 192.0.2.9", *peer)
    assert said.code == UsageError.exit_code
    assert "five words" in said.err
    (tmp_path / "key").chmod(0o644)
    said = pvi("vpn", out, "--link", LINK, *peer)
    assert said.code == PrerequisiteError.exit_code
    assert "readable by others" in said.err
    (tmp_path / "key").write_text("no key")
    (tmp_path / "key").chmod(0o600)
    said = pvi("vpn", out, "--link", LINK, *peer)
    assert said.code == PrerequisiteError.exit_code
    assert "no private key" in said.err
    assert not out.exists()


def test_a_revoked_peer_is_not_written(pvi: Pvi, peer: tuple[str | Path, ...], tmp_path: Path) -> None:
    (only,) = (pvi.folder / "issued").iterdir()
    assert pvi.owner("revoke", only.stem).code == 0
    said = pvi("vpn", tmp_path / "vpn", "--link", LINK, *peer)
    assert said.code == CertificateRefusedError.exit_code
    assert not (tmp_path / "vpn").exists()
