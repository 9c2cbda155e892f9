"""A folder of authorities counts as far as it can be read, and what cannot be read is named."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.identity.authorities import load, of_machine, parse
from harness.errors import InputFileError
from harness.rig.host import Host
from tests.attest import slips
from tests.attest.ek_certificates import Authority, pem


def der(authority: Authority) -> bytes:
    return authority.certificate.public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority(name="root")


def bits(body: slips.Node) -> None:
    """The names are BIT STRINGs."""
    for name in [one for one in body.values if one.tag == slips.SEQUENCE][1::2]:
        for part in name.values:
            part.values[0].values[1] = slips.Node(0x03, b"\0\xa5")


def odd(root: Authority) -> bytes:
    """A certificate that is framed well, and whose names are no text."""
    return slips.pem(slips.slipped(der(root), root.key, [bits]))


@pytest.mark.parametrize("name", ["ROOT.CRT", "Root.Cer", "root.DER", "root.pem"])
def test_a_suffix_may_be_in_capitals(tmp_path: Path, root: Authority, name: str) -> None:
    (tmp_path / name).write_bytes(der(root))
    assert len(load(tmp_path).roots) == 1


@pytest.mark.parametrize("begun", [1, 20_000])
def test_certificates_that_were_only_begun_are_named_and_take_no_time(root: Authority, begun: int) -> None:
    """A machine's authority is what the machine says it is."""
    begin = time.monotonic()
    text = (
        b"-----BEGIN CERTIFICATE-----\nMIIB\n" * begun
        + pem(root.certificate)
        + b"-----BEGIN CERTIFICATE-----"
    )
    found = parse(text, where="the roots")
    assert (len(found.roots), len(found.unread)) == (1, begun + 1)
    assert time.monotonic() - begin < 5


UNREADABLE = {
    "empty": b"",
    "rubbish": b"rubbish",
    "cut": b"-----BEGIN CERTIFICATE-----\nMIIB\n",
    "no certificate": b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    "half": b"\x30\x82\x01\x00\x30",
    "not base64": b"-----BEGIN CERTIFICATE-----\n\xff\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_one_file_that_cannot_be_read_is_named_and_the_rest_counts(
    tmp_path: Path, root: Authority, content: bytes
) -> None:
    (tmp_path / "a-broken.pem").write_bytes(content)
    (tmp_path / "good.pem").write_bytes(pem(root.certificate))
    found = load(tmp_path)
    assert len(found.roots) == 1
    (told,) = found.unread
    assert told.startswith(f"{tmp_path / 'a-broken.pem'}: ")


def test_a_name_that_is_no_text_is_a_file_that_cannot_be_read(tmp_path: Path, root: Authority) -> None:
    (tmp_path / "odd.pem").write_bytes(odd(root))
    (tmp_path / "good.pem").write_bytes(pem(root.certificate))
    found = load(tmp_path)
    assert (len(found.roots), len(found.unread)) == (1, 1)
    assert "odd.pem: certificate 1: " in found.unread[0]
    with pytest.raises(InputFileError) as caught:
        load(tmp_path / "odd.pem")
    assert (caught.value.kind, caught.value.where) == ("roots-file", str(tmp_path / "odd.pem"))


def test_one_certificate_of_a_file_is_named_by_its_number(tmp_path: Path, root: Authority) -> None:
    file = tmp_path / "all.pem"
    file.write_bytes(pem(root.certificate) + UNREADABLE["no certificate"] + pem(Authority().certificate))
    found = load(file)
    assert len(found.roots) == 2
    assert found.unread[0].startswith(f"{file}: certificate 2: ")


def test_der_and_pem_lie_side_by_side(tmp_path: Path, root: Authority) -> None:
    between = Authority(name="between", parent=root)
    (tmp_path / "root.cer").write_bytes(der(root))
    (tmp_path / "between.der").write_bytes(der(between))
    (tmp_path / "again.pem").write_bytes(pem(root.certificate))
    found = load(tmp_path)
    assert [one.der for one in found.roots] == [der(root)]
    assert [one.der for one in found.intermediates] == [der(between)]
    assert found.unread == ()


def test_what_is_no_regular_file_is_named(tmp_path: Path, root: Authority) -> None:
    """A pipe that nothing writes to would be waited for without an end."""
    (tmp_path / "good.pem").write_bytes(pem(root.certificate))
    (tmp_path / "folder.pem").mkdir()
    os.mkfifo(tmp_path / "pipe.pem")
    (tmp_path / "gone.pem").symlink_to(tmp_path / "nowhere")
    with (tmp_path / "long.pem").open("wb") as long:
        long.truncate(5 * 2**20)
    found = load(tmp_path)
    assert len(found.roots) == 1
    assert [Path(one.partition(":")[0]).name for one in found.unread] == [
        "folder.pem",
        "gone.pem",
        "long.pem",
        "pipe.pem",
    ]


def test_a_folder_in_which_nothing_can_be_read(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.pem").write_bytes(b"rubbish")
    with pytest.raises(InputFileError) as caught:
        load(tmp_path)
    assert caught.value.where == str(tmp_path)
    assert "00.pem" in caught.value.why
    assert "and 20 more" in caught.value.why
    assert len(caught.value.why) < 3_000


def test_a_folder_that_holds_no_file_of_the_kind(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(InputFileError) as caught:
        load(tmp_path)
    assert "*.pem" in caught.value.why


def test_an_issuer_alone_is_no_root(root: Authority) -> None:
    with pytest.raises(InputFileError) as caught:
        parse(pem(Authority(name="between", parent=root).certificate), where="here")
    assert caught.value.what == "no root among them"


def test_a_machines_own_authority_is_read_whole_or_not_at_all(root: Authority) -> None:
    """Its issuer is missing then, and the chain's refusal would not say why."""
    good = pem(root.certificate, Authority(name="between", parent=root).certificate)
    host = SimpleNamespace(role="a", run=lambda *_given, **_named: good.decode())
    assert len(of_machine(cast(Host, host), "/authority").intermediates) == 1
    host.run = lambda *_given, **_named: (pem(root.certificate) + UNREADABLE["no certificate"]).decode()
    with pytest.raises(InputFileError) as caught:
        of_machine(cast(Host, host), "/authority")
    assert (caught.value.where, "certificate 2" in caught.value.why) == ("a:/authority", True)


def test_five_hundred_roots_take_less_than_two_seconds(tmp_path: Path) -> None:
    """Of the CPU, so that other work on the machine does not count; a sixth of them is slow to read."""
    for number in range(500):
        one = Authority(name=f"root {number}")
        slip = [slips.names] if number % 6 == 0 else []
        (tmp_path / f"{number}.pem").write_bytes(slips.pem(slips.slipped(der(one), one.key, slip)))
    begun_s = time.process_time()
    found = load(tmp_path)
    spent_s = time.process_time() - begun_s
    assert len(found.roots) == 500
    assert spent_s < 2, f"{spent_s:.2f} s"


def test_a_signature_with_bits_left_over_is_not_read() -> None:
    made = (Authority(name=f"root {number}") for number in range(64))
    root = next(one for one in made if not one.certificate.signature[-1] & 1)
    whole, begins = der(root), -len(root.certificate.signature) - 1
    assert len(parse(whole, where="roots").roots) == 1
    with pytest.raises(InputFileError, match="no whole number of bytes"):
        parse(whole[:begins] + b"\1" + whole[begins + 1 :], where="roots")
