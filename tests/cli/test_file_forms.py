"""Files in other forms than expected: each is refused by its cause, in one sentence, or read back equal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from harness.attest.reference import files as appraisal_file
from harness.attest.reference.policy import ImaReference, ReferenceValues
from harness.attest.reference.values import to_yaml
from harness.campaign import file as campaign_file
from harness.cli.attest import reference
from harness.errors import InputFileError, RecordError, StorageError
from harness.policy.capability_file import CapabilityFileError, load_table
from harness.registry.errors import RegistryError
from harness.registry.translation import translated
from harness.report import material
from harness.response import policy_file
from tests.policy.test_capability_file import CSV, HEADER
from tests.synthetic.campaigns import MINIMAL
from tests.synthetic.evidence import build

SHA256 = "sha256:" + "0" * 64


def of_files(*paths: str) -> ReferenceValues:
    return ReferenceValues(version=1, ima=ImaReference(files=dict.fromkeys(paths, (SHA256,))))


def said(error: InputFileError | StorageError | RegistryError) -> str:
    assert error.remedy
    return str(error)


# -- encodings


@pytest.mark.parametrize("load", [campaign_file.load, appraisal_file.load_policy, policy_file.load])
def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path: Path, load: object) -> None:
    path = tmp_path / "mine.yml"
    path.write_bytes(MINIMAL.encode() + "description: größer\n".encode("latin-1"))
    with pytest.raises(InputFileError) as caught:
        load(path)  # type: ignore[operator]
    assert caught.value.where == f"{path}:6"
    assert "not a text file in UTF-8" in said(caught.value)
    assert "Latin-1" in caught.value.why


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["mine.csv", "mine.yml"])
def test_utf_16_is_called_so(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / name
    path.write_text(CSV, encoding=encoding)
    with pytest.raises(InputFileError, match="UTF-16") as caught:
        load_table([path])
    assert "save" in caught.value.remedy


def test_a_file_that_may_not_be_read_is_no_matter_of_ready_made_campaigns(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        policy_file.load(tmp_path)
    assert "campaigns/" not in said(caught.value)


def test_the_stored_campaign_of_a_run_may_be_damaged(tmp_path: Path) -> None:
    run = build(tmp_path)
    run.campaign.write_bytes(b"name: gr\xf6\xdfer\n")
    with pytest.raises(RecordError) as caught:
        material.read(run)
    assert caught.value.where == str(run.campaign)


# -- what spreadsheets write


@pytest.mark.parametrize(
    ("text", "line", "cause", "remedy"),
    [
        (CSV.replace(",", ";"), 1, "separated by semicolons", "commas"),
        (CSV.replace(",", "\t"), 1, "separated by tabs", "commas"),
        (f'"{HEADER.replace(",", chr(34) + ";" + chr(34))}"\n', 1, "separated by semicolons", "commas"),
        ("name;what\n1;2\n", 1, "separated by semicolons", "commas"),
        ("\n" + CSV.replace(",", ";"), 2, "separated by semicolons", "commas"),
        ("sep=;\n" + CSV.replace(",", ";"), 1, "'sep=;' is for a spreadsheet", "delete the line"),
        ("sep=,\r\n" + CSV, 1, "'sep=,' is for a spreadsheet", "delete the line"),
        (CSV.replace("\n", ",\n"), 1, "ends with a comma", "delete the comma"),
        (CSV.replace("Full VM", "Full\u00a0VM"), 2, "NO-BREAK SPACE", "replace it"),
        (CSV.replace("protected_entity", "protected\u00a0entity"), 1, "NO-BREAK SPACE", "replace it"),
    ],
)
def test_a_spreadsheets_csv_is_refused_by_its_cause(
    tmp_path: Path, text: str, line: int, cause: str, remedy: str
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, newline="")
    with pytest.raises(CapabilityFileError) as caught:
        load_table([path])
    assert caught.value.where == f"{path}:{line}"
    assert cause in caught.value.what
    assert remedy in caught.value.remedy
    assert "mistakes" not in caught.value.what


def test_rows_that_end_with_a_comma_are_told_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(CSV.rstrip("\n") + ",\n")
    with pytest.raises(CapabilityFileError, match="ends with a comma"):
        load_table([path])


# -- reference values


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.just((SHA256,)), max_size=5
    )
)
def test_reference_values_of_any_path_are_read_back_equal(files: dict[str, tuple[str, ...]]) -> None:
    values = ReferenceValues(version=1, ima=ImaReference(files=files))
    assert appraisal_file.reference(to_yaml(values), "r.yml") == values


@pytest.mark.parametrize(
    "odd", ["\x85", "\u2028", "\u2029", "\x00", "\x1b", "\ufeff", "\U0001f600", '"', "\\", "\n"]
)
def test_reference_values_of_an_odd_path_are_read_back_equal(odd: str) -> None:
    values = of_files(f"/opt/a{odd}b", odd, f"{odd}: x", f" {odd}")
    assert appraisal_file.reference(to_yaml(values), "r.yml") == values


def test_what_is_written_of_many_files_is_read_back(tmp_path: Path) -> None:
    values = of_files(*(f"/usr/lib/x86_64-linux-gnu/of-a-package/lib{number}.so" for number in range(20_000)))
    path = tmp_path / "r.yml"
    path.write_text(to_yaml(values))
    assert path.stat().st_size > 2_000_000
    assert appraisal_file.load_reference(path) == values


def test_a_mistake_in_a_large_file_is_named_with_its_line() -> None:
    lines = to_yaml(of_files(*(f"/lib/{number:05}" for number in range(30_000)))).splitlines()
    number = next(number for number, line in enumerate(lines) if "/lib/12345" in line)
    lines[number] = lines[number].replace("sha256", "SHA-256")
    with pytest.raises(InputFileError) as caught:
        appraisal_file.reference("\n".join(lines), "r.yml")
    assert caught.value.where == f"r.yml:{number + 1}"
    lines[number] = lines[number - 1]
    with pytest.raises(InputFileError, match="there twice") as caught:
        appraisal_file.reference("\n".join(lines), "r.yml")
    assert caught.value.where == f"r.yml:{number + 1}"


def test_reference_values_in_yaml_are_read_as_before() -> None:
    text = f"version: 1\nima:\n  files:\n    /bin/a:\n    - {SHA256}\n"
    assert appraisal_file.reference(text, "r.yml") == of_files("/bin/a")
    assert appraisal_file.reference(
        f"{{version: 1, ima: {{files: {{/bin/a: ['{SHA256}']}}}}}}", "r.yml"
    ) == of_files("/bin/a")


def test_too_many_reference_values_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MAX_REFERENCE_CHARS", 1000)
    place = tmp_path / "r.yml"
    with pytest.raises(StorageError) as caught:
        reference._keep(of_files(*map(str, range(20))), place, add=False)
    assert "20 files" in said(caught.value)
    assert not place.exists()


# -- the registry's database


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SQLITE_PROTOCOL", "NFS"),
        ("SQLITE_IOERR_LOCK", "NFS"),
        ("SQLITE_IOERR_SHMMAP", "NFS"),
        ("SQLITE_BUSY_SNAPSHOT", "try again"),
        ("SQLITE_LOCKED_SHAREDCACHE", "try again"),
        ("SQLITE_NOMEM", "end other programs"),
        ("SQLITE_MISUSE", "docs/registry.md"),
    ],
)
def test_every_failure_of_sqlite_has_a_remedy(name: str, words: str) -> None:
    cause = sqlite3.OperationalError("locking protocol")
    cause.sqlite_errorname = name
    with pytest.raises(RegistryError) as caught, translated("the registry"):
        raise OperationalError("BEGIN", {}, cause)
    assert words in caught.value.remedy
