"""`sodbench artifact`: evidence, claims, verdicts and program in one file, and what a check of it refuses."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness import sums
from harness.errors import InputFileError
from harness.evidence import archive, bundle, signature
from harness.report.artifact import layout, program
from harness.report.artifact.build import Parts, build
from tests.cli.command import Sodbench
from tests.synthetic import artifacts
from tests.synthetic.artifacts import CLAIMS, NAME, RUN, packed_run

Change: TypeAlias = Callable[[Path], object]


@pytest.fixture(scope="module", autouse=True)
def own_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A program of two modules in place of the whole one, which takes long to compare."""
    code = tmp_path_factory.mktemp("code") / "harness"
    (code / "cli").mkdir(parents=True)
    for name in ("__init__.py", "cli/__init__.py"):
        (code / name).write_text(f"# {name}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_CODE", code)
        yield code


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, own_code: Path) -> Parts:
    return artifacts.parts(tmp_path_factory.mktemp("parts"), own_code)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, parts: Parts, key: ec.EllipticCurvePrivateKey) -> Path:
    """An artifact, unpacked: each test alters a copy."""
    folder = tmp_path_factory.mktemp("made")
    build(parts, folder / "artifact.zip", key, lambda: None)
    bundle.unpack(folder / "artifact.zip", folder / "artifact")
    return folder


@pytest.fixture
def public(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> Path:
    return key_file(key, tmp_path / "signer.pem")


def key_file(key: ec.EllipticCurvePrivateKey, file: Path) -> Path:
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def altered(
    made: Path, tmp_path: Path, change: Change, key: ec.EllipticCurvePrivateKey | None = None
) -> Path:
    """The artifact after `change`; with `key` its sums are made and signed again, as its signer could."""
    root = tmp_path / "altered"
    shutil.copytree(made / "artifact", root)
    change(root)
    if key is not None:
        own = {layout.SUMS, signature.FILE}
        found = {name: sums.digest(root / name) for name, _ in sorted(sums.walk(root)) if name not in own}
        (root / layout.SUMS).write_bytes(sums.text(found))
        signature.sign(root, [layout.SUMS], key, kind=layout.KIND)
    bundle.pack(root, tmp_path / "altered.zip")
    return tmp_path / "altered.zip"


def appended(name: str) -> Change:
    return lambda root: (root / name).write_bytes((root / name).read_bytes() + b"\n")


def test_it_is_verified_with_the_signers_key(sodbench: Sodbench, made: Path, public: Path) -> None:
    said = sodbench("artifact", "verify", made / "artifact.zip", "--key", public)
    assert said.code == 0, said.err
    assert "as they were summed and signed" in said.out
    assert "3 claims judged again by 1 runs, same verdicts" in said.out
    assert "2 reproduced, 1 not tested" in said.out
    assert "Note" not in said.out


def test_without_a_key_it_is_not_believed(sodbench: Sodbench, made: Path) -> None:
    assert sodbench("artifact", "verify", made / "artifact.zip").code == 4
    said = sodbench("artifact", "verify", made / "artifact.zip", "--unsigned")
    assert said.code == 0
    assert "the signature was not checked" in said.out


def test_the_same_parts_make_the_same_bytes_but_for_the_signature(
    made: Path, parts: Parts, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    build(parts, tmp_path / "again.zip", key, lambda: None)
    bundle.unpack(tmp_path / "again.zip", tmp_path / "again")
    names = [name for name, _ in sums.walk(made / "artifact") if name != signature.FILE]
    assert len(names) > 20
    assert all(
        (tmp_path / "again" / name).read_bytes() == (made / "artifact" / name).read_bytes() for name in names
    )


def test_what_it_holds(made: Path) -> None:
    root = made / "artifact"
    names = {name for name, _ in sums.walk(root)}
    assert {layout.STATEMENT, layout.LOCK, layout.SBOM, layout.CRATE, layout.SUMS, f"program/{NAME}"} <= names
    assert {"claims/paper.yml", "verdicts/report.html", "appendix/report.tex", "appendix/report.md"} <= names
    stated = json.loads((root / layout.STATEMENT).read_text())["claims"]["idle-time"]
    assert stated["verdict"] == "reproduced"
    assert (stated["unit"], stated["parts"]["idle"]["trials"]) == ("s", 3)
    crate = json.loads((root / layout.CRATE).read_text())
    (top,) = (one for one in crate["@graph"] if one["@id"] == "./")
    assert top["datePublished"] == "2026-09-21"
    assert {"@id": f"{RUN}/"} in top["hasPart"]
    appendix = (root / "appendix/report.md").read_text()
    assert "load of idle | locust 2 | Faban | demo" in appendix
    assert "it has no code" in appendix


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (appended("claims/paper.yml"), "changed: claims/paper.yml"),
        (appended(f"{RUN}/journal.jsonl.gz"), f"changed: {RUN}/journal.jsonl.gz"),
        (appended("verdicts/verdicts.json"), "changed: verdicts/verdicts.json"),
        (appended(f"program/{NAME}"), f"changed: program/{NAME}"),
        (appended(layout.SUMS), "changed: SHA256SUMS"),
        (lambda root: (root / "appendix/report.tex").unlink(), "missing: appendix/report.tex"),
        (lambda root: (root / layout.SUMS).unlink(), "missing: SHA256SUMS"),
        (lambda root: (root / "more.txt").write_text("x"), "added: more.txt"),
        (lambda root: (root / signature.FILE).unlink(), "it is not signed"),
    ],
)
def test_what_was_changed_removed_or_added_is_named(
    sodbench: Sodbench, made: Path, public: Path, tmp_path: Path, change: Change, said: str
) -> None:
    found = sodbench("artifact", "verify", altered(made, tmp_path, change), "--key", public)
    assert found.code == 21
    assert said in found.err


def test_another_signer_is_refused(sodbench: Sodbench, made: Path, public: Path, tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    file = altered(made, tmp_path, lambda _: None, other)
    found = sodbench("artifact", "verify", file, "--key", public)
    assert found.code == 21
    assert "signed by another key" in found.err
    assert sodbench("artifact", "verify", file, "--key", key_file(other, tmp_path / "other.pem")).code == 0


def test_a_signature_of_something_else_is_none(
    sodbench: Sodbench, made: Path, public: Path, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    def as_archive(root: Path) -> None:
        signature.sign(root, [layout.SUMS], key, kind=archive.KIND)

    found = sodbench("artifact", "verify", altered(made, tmp_path, as_archive), "--key", public)
    assert found.code == 21
    assert "no artifact" in found.err


@pytest.mark.parametrize("total_s", [3.0 * 0.8, 3.0 * 1.2])
def test_one_value_of_the_evidence_that_differs_by_a_fifth_flips_its_claims_verdict(
    sodbench: Sodbench,
    made: Path,
    key: ec.EllipticCurvePrivateKey,
    public: Path,
    tmp_path: Path,
    total_s: float,
) -> None:
    """Sums and signature are right: it is the evidence that does not give the verdict."""

    def other_evidence(root: Path) -> None:
        shutil.rmtree(root / RUN)
        shutil.copytree(packed_run(tmp_path, total_s), root / RUN)

    found = sodbench("artifact", "verify", altered(made, tmp_path, other_evidence, key), "--key", public)
    assert found.code == 21
    assert "idle-time: stated reproduced, the evidence gives inconclusive" in found.err
    assert "matrix" not in found.err


def rewritten(name: str, old: str, new: str) -> Change:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))
        if name == layout.CRATE:
            return
        whole = json.loads((root / layout.CRATE).read_text())
        for one in whole["@graph"]:
            if one["@id"] == name:
                one.update(sha256=sums.digest(root / name), contentSize=str((root / name).stat().st_size))
        (root / layout.CRATE).write_text(json.dumps(whole))

    return change


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (rewritten(layout.STATEMENT, '"median": 3.0', '"median": 4.0'), 21, "idle-time: the numbers are not"),
        (rewritten(layout.STATEMENT, '"not tested"', '"reproduced"'), 21, "none: stated reproduced"),
        (rewritten(layout.STATEMENT, '"trials": 3', '"trials": "3"'), 12, "not the statement"),
        (rewritten(layout.STATEMENT, '"sha256": "', '"sha256": "0'), 21, "not the one that judged"),
        (rewritten("claims/paper.yml", "total_time", "blackout"), 21, "idle-time"),
        (
            rewritten("claims/paper.yml", "metric: total_time", "metric: total_tim"),
            3,
            "did you mean 'total_time'",
        ),
        (
            rewritten("claims/paper.yml", "campaigns: [demo]", "campaigns: [dem]"),
            3,
            "no ready-made campaign 'dem'",
        ),
        (
            rewritten(layout.CRATE, '"contentSize": "', '"contentSize": "1'),
            12,
            "described with another sum or size",
        ),
        (rewritten(layout.CRATE, '"@graph"', '"graph"'), 12, "cannot read it"),
        (rewritten(layout.CRATE, '"datePublished"', '"dateCreated"'), 12, "states no datePublished"),
        (rewritten(layout.CRATE, "crate/1.2", "crate/1.1"), 12, "conforms to RO-Crate 1.1"),
        (rewritten(layout.CRATE, f'"{RUN}/"', '"../../etc/"'), 12, f"{RUN}/SHA256SUMS is not described"),
        (lambda root: (root / "more.txt").write_text("x"), 12, "more.txt is not described"),
        (lambda root: (root / layout.LOCK).unlink(), 12, "requirements.lock is described and is not there"),
        (lambda root: (root / layout.CRATE).unlink(), 12, "cannot be read"),
        (lambda root: shutil.rmtree(root / RUN), 12, f"{RUN}/ is described and has no files"),
    ],
)
def test_what_a_signer_signed_must_still_hold_together(
    sodbench: Sodbench,
    made: Path,
    key: ec.EllipticCurvePrivateKey,
    public: Path,
    tmp_path: Path,
    change: Change,
    code: int,
    said: str,
) -> None:
    found = sodbench("artifact", "verify", altered(made, tmp_path, change, key), "--key", public)
    assert found.code == code
    assert said in " ".join(found.err.split())


@pytest.mark.long
def test_evidence_of_another_rig_than_is_claimed_does_not_count(
    parts: Parts, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "claims").mkdir()
    text = CLAIMS.replace("metric: total_time", "metric: total_time\n      rig: pair")
    (tmp_path / "claims/paper.yml").write_text(text)
    other = Parts(
        stored=parts.stored, claims=tmp_path / "claims", wheel=parts.wheel, lock=parts.lock, sbom=parts.sbom
    )
    (one, *_) = build(other, tmp_path / "x.zip", key, lambda: None).judged
    assert (str(one.verdict), one.run) == ("not tested", None)
    assert "needs a rig of kind pair" in one.why


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("requirements.lock", b"x==1\n", "no list of packages with their hashes"),
        ("bill.json", b'{"bomFormat": "SPDX"}', "no bill of materials"),
        (NAME, b"no wheel", "no wheel of sodbench"),
        ("claims/paper.yml", b"paper: x\n", "claims"),
    ],
)
def test_a_part_that_is_wrong_is_refused_before_anything_is_written(
    sodbench: Sodbench, parts: Parts, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    own = tmp_path / "own"
    shutil.copytree(parts.wheel.parent, own)
    (own / name).write_bytes(data)
    found = sodbench(*asked(own, tmp_path / "x.zip"), "--unsigned")
    assert found.code == 3
    assert said in found.err
    assert not (tmp_path / "x.zip").exists()


def asked(parts: Path, out: Path) -> tuple[str | Path, ...]:
    named = (
        "--claims",
        parts / "claims",
        "--lock",
        parts / "requirements.lock",
        "--sbom",
        parts / "bill.json",
    )
    return ("artifact", "--from", parts / "packed", "--out", out, "--wheel", parts / NAME, *named)


def test_a_wheel_of_another_program_is_refused(sodbench: Sodbench, parts: Parts, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(parts.wheel.parent, own)
    with zipfile.ZipFile(own / NAME, "a") as wheel:
        wheel.writestr("harness/more.py", "")
    found = sodbench(*asked(own, tmp_path / "x.zip"), "--unsigned")
    assert found.code == 3
    assert "1 modules differ, such as harness/more.py" in found.err


@pytest.mark.long
def test_it_is_built_and_verified_with_ones_own_key(sodbench: Sodbench, parts: Parts, tmp_path: Path) -> None:
    said = sodbench(*asked(parts.wheel.parent, tmp_path / "x.zip"), "--unsigned")
    assert said.code == 0, said.err
    assert "1 runs, 3 claims" in said.out
    assert sodbench("artifact", "verify", tmp_path / "x.zip").code == 0
    again = sodbench(*asked(parts.wheel.parent, tmp_path / "x.zip"), "--unsigned")
    assert again.code == 2
    assert "there already" in again.err


def test_an_archive_that_is_not_signed_is_not_taken(sodbench: Sodbench, parts: Parts, tmp_path: Path) -> None:
    public = key_file(ec.generate_private_key(ec.SECP256R1()), tmp_path / "k.pem")
    found = sodbench(*asked(parts.wheel.parent, tmp_path / "x.zip"), "--key", public)
    assert found.code == 21
    assert "it is not signed" in found.err


def test_without_runs_there_is_nothing_to_bundle(sodbench: Sodbench, parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    given = [*asked(parts.wheel.parent, tmp_path / "x.zip"), "--unsigned"]
    given[given.index("--from") + 1] = tmp_path / "none"
    found = sodbench(*given)
    assert found.code == 12
    assert "no finished run" in found.err
    assert sodbench("artifact").code == 2


@pytest.mark.long
def test_a_run_in_its_folder_is_packed(parts: Parts, key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    run = archive.unpack(parts.stored, tmp_path / "run")
    own = Parts(stored=run.root, claims=parts.claims, wheel=parts.wheel, lock=parts.lock, sbom=parts.sbom)
    made = build(own, tmp_path / "x.zip", key, lambda: None)
    assert made.runs == (RUN.removeprefix("evidence/"),)


def test_the_wheels_size_is_bounded(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MAX_BYTES", 10**4)
    with zipfile.ZipFile(tmp_path / NAME, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("harness/bomb.py", bytes(10**6))
    with pytest.raises(InputFileError, match="becomes more than 10000 bytes"):
        program.differing(tmp_path / NAME)
    monkeypatch.setattr(program, "MAX_BYTES", 100)
    with pytest.raises(InputFileError, match="takes more than 100 bytes"):
        program.differing(parts.wheel)
