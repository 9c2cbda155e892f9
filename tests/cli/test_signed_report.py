"""Reports are signed with the verifier's key, and `report --verify` refuses one that was altered since."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.cli.signing import own_key
from harness.evidence import archive, seal, signature
from harness.evidence.folder import RunFolder
from harness.registry import places
from harness.report import signed
from tests.cli.command import Said, Sodbench
from tests.synthetic import evidence

ALTERED = 21
FILES = ("report.html", "report.md", "figures/seen.svg")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = evidence.build(tmp_path / "run", evidence.Truths(attempts=()))
    seal.close(made)
    return made


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A signed folder with the names of a report's files."""
    out = tmp_path / "report"
    (out / "figures").mkdir(parents=True)
    for name in FILES:
        (out / name).write_text(name)
    signed.sign(out, tuple(out / name for name in FILES), own_key())
    return out


def other_key(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, Path]:
    """A key pair of another signer, the public part in a file."""
    key, file = ec.generate_private_key(ec.SECP256R1()), folder / "other.pub.pem"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key, file


def make(sodbench: Sodbench, run: RunFolder, out: Path, *more: str) -> Said:
    return sodbench("report", run.root, "--out", out, "-f", "md", *more)


def test_a_report_is_signed_where_there_is_a_key_and_only_the_signature_differs(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path
) -> None:
    assert make(sodbench, run, tmp_path / "first", "--sign").code == 0
    said = make(sodbench, run, tmp_path / "second")
    assert (said.code, said.err) == (0, "")
    assert said.words == [str(tmp_path / "second" / name) for name in ("report.md", signature.FILE)]
    first, second = (
        {one.name: one.read_bytes() for one in (tmp_path / n).iterdir()} for n in ("first", "second")
    )
    assert first.pop(signature.FILE) != second.pop(signature.FILE)
    assert first == second


def test_a_report_without_a_key_is_made_and_says_that_it_is_not_signed(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path
) -> None:
    said = make(sodbench, run, tmp_path / "report")
    assert (said.code, said.out) == (0, f"{tmp_path / 'report/report.md'}\n")
    assert "not signed: there is no key" in said.err
    assert "--sign" in said.err
    assert not places.signing_key_file().exists(), "no key is made unasked"
    assert sodbench("report", "--verify", tmp_path / "report").code == 4, "and none is there to check with"


def test_a_signature_that_is_not_wanted_is_not_made_and_not_told(
    sodbench: Sodbench, report: Path, run: RunFolder
) -> None:
    said = make(sodbench, run, report, "--unsigned")
    assert (said.code, said.err) == (0, "")
    assert not (report / signature.FILE).exists(), "that of the older report says nothing of this one"
    said = sodbench("report", "--verify", report)
    assert (said.code, "it is not signed" in said.err) == (ALTERED, True)


def test_a_signed_report_is_verified_and_its_signer_named(sodbench: Sodbench, report: Path) -> None:
    public = signature.public_key(places.signing_key_file().with_suffix(".pub.pem"))
    said = sodbench("report", "--verify", report)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{report}: 3 files, signed by the key {signature.key_id(public)}\n"


def test_the_report_of_another_signer_needs_that_signers_key(
    sodbench: Sodbench, report: Path, tmp_path: Path
) -> None:
    key, file = other_key(tmp_path)
    signed.sign(report, tuple(report / name for name in FILES), key)
    said = sodbench("report", "--verify", report)
    assert (said.code, "another key" in said.err, "--key" in said.err) == (ALTERED, True, True)
    assert "--unsigned" not in said.err
    assert sodbench("report", "--verify", report, "--key", file).code == 0


def changed(report: Path) -> None:
    (report / "report.html").write_text("<p>better</p>")


def removed(report: Path) -> None:
    (report / "figures/seen.svg").unlink()


def added(report: Path) -> None:
    (report / "report.pdf").write_bytes(b"%PDF")


def linked(report: Path) -> None:
    (report / "figures/more.svg").symlink_to("seen.svg")


def damaged(report: Path) -> None:
    (report / signature.FILE).write_text("{}")


def stripped(report: Path) -> None:
    (report / signature.FILE).unlink()


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (changed, "changed: report.html"),
        (removed, "missing: figures/seen.svg"),
        (added, "not signed: report.pdf"),
        (linked, "not signed: figures/more.svg"),
        (damaged, "the signature cannot be read"),
        (stripped, f"it has no {signature.FILE}"),
    ],
)
def test_a_report_that_was_altered_is_refused(
    sodbench: Sodbench, report: Path, alter: object, told: str
) -> None:
    assert callable(alter)
    alter(report)
    said = sodbench("report", "--verify", report)
    assert (said.code, said.out) == (ALTERED, "")
    assert told in said.err
    assert "do:" in said.err


def test_a_link_in_place_of_a_signed_file_is_not_followed(
    sodbench: Sodbench, report: Path, tmp_path: Path
) -> None:
    (report / "report.md").rename(tmp_path / "same.md")
    (report / "report.md").symlink_to(tmp_path / "same.md")
    said = sodbench("report", "--verify", report)
    assert (said.code, "report.md" in said.err) == (12, True)


def test_the_signature_of_an_archive_vouches_for_no_report(sodbench: Sodbench, report: Path) -> None:
    signature.sign(report, FILES, own_key(), kind=archive.KIND)
    said = sodbench("report", "--verify", report)
    assert (said.code, "no report" in said.err) == (ALTERED, True)


def test_a_key_that_others_may_read_signs_no_report_and_hinders_none(
    sodbench: Sodbench, report: Path, run: RunFolder, tmp_path: Path
) -> None:
    places.signing_key_file().chmod(0o640)
    said = make(sodbench, run, tmp_path / "more")
    assert (said.code, "chmod 600" in said.err, "--unsigned" in said.err) == (4, True, True)
    assert not (tmp_path / "more").exists()
    assert make(sodbench, run, tmp_path / "more", "--unsigned").code == 0
    assert sodbench("report", "--verify", report).code == 0, "the public part is enough to check"


def test_a_signature_that_cannot_be_written_leaves_the_report(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "report" / signature.FILE / "more").mkdir(parents=True)
    said = make(sodbench, run, tmp_path / "report", "--sign")
    assert (said.code, signature.FILE in said.err) == (11, True)


def test_what_is_left_of_an_older_report_is_named(sodbench: Sodbench, report: Path, run: RunFolder) -> None:
    said = make(sodbench, run, report)
    assert said.code == 0
    assert "report.html" in said.err
    assert "figures/seen.svg" in said.err
    assert sodbench("report", "--verify", report).code == ALTERED


def test_a_place_without_a_report_and_options_that_do_not_fit_are_refused(
    sodbench: Sodbench, report: Path, run: RunFolder, tmp_path: Path
) -> None:
    assert sodbench("report", "--verify", tmp_path / "nothing").code == 12
    assert sodbench("report", "--verify", report, "--unsigned").code == 2
    assert sodbench("report", "--verify", report, "--sign").code == 2
    assert sodbench("report", run.root, "--key", tmp_path / "x.pem").code == 2
    said = sodbench("report", "--verify", report, "--key", tmp_path / "x.pem")
    assert (said.code, "x.pem" in said.err) == (4, True)


def test_a_key_in_a_folder_that_is_read_only_signs(sodbench: Sodbench, report: Path, run: RunFolder) -> None:
    public = places.signing_key_file().with_suffix(".pub.pem")
    before = public.stat().st_mtime_ns
    assert make(sodbench, run, report).code == 0
    assert public.stat().st_mtime_ns == before, "the public part is written once"
