"""Files of capabilities: the shipped table, a provider's rows, and every mistake with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputFileError
from harness.policy.capability import Capability
from harness.policy.capability_csv import from_csv
from harness.policy.capability_file import CapabilityFileError, load_table, schema
from harness.policy.capability_yaml import Cells, from_yaml
from harness.policy.fleet import Fleet
from harness.policy.request import request
from harness.policy.threats import COLUMNS
from harness.policy.validation import deploy
from tests.policy import oracle
from tests.policy.servers import NOW_NS, server

FLOW = "{" + ", ".join(f"{column}: {'yes' if 'vms' in column else 'no'}" for column in COLUMNS) + "}"
YAML = f"""\
version: 1
architectures:
  - name: Enclave-1
    kind: commercial
    protected: Full VM
    source: data sheet of 2026
    cells: {FLOW}
  - name: Enclave 2.x
    kind: software
    protected: Data
    cells: {FLOW.replace("hypervisor_c: no", "hypervisor_c: removed")}
"""
HEADER = "kind,architecture," + ",".join(COLUMNS) + ",protected_entity"
CSV = f"{HEADER}\nhardware,Mine,{','.join(['n-a'] * 12 + ['yes', 'no'])},Full VM\n"


class Write(Protocol):
    """Writes a file and says where."""

    def __call__(self, text: str, name: str = "mine.yml") -> Path: ...


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(text: str, name: str = "mine.yml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refused(*paths: Path) -> str:
    with pytest.raises(CapabilityFileError) as caught:
        load_table(paths)
    assert caught.value.exit_code == 3
    return str(caught.value)


# -- the shipped table


def test_the_shipped_table_is_the_papers() -> None:
    rows, table = oracle.table3(), load_table()
    assert list(table) == list(rows)
    assert len(table) == 13
    for name, row in rows.items():
        one = table[name]
        assert {str(cell): value.value for cell, value in one.cells.items()} == {
            column: row[column] for column in COLUMNS
        }
        assert (one.name, one.kind, one.protected) == (name, row["kind"], row["protected_entity"])
        assert one.source == "Security on Demand, Table III"


def test_all_four_values_are_in_it() -> None:
    values = {value for one in load_table().values() for value in one.cells.values()}
    assert values == set(Capability)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load_table()["TPM"] = load_table()["SP"]  # type: ignore[index]


# -- a provider's rows


def test_a_provider_adds_rows(written: Write) -> None:
    table = load_table([written(YAML), written(CSV, "mine.csv")])
    assert list(table)[-3:] == ["Enclave-1", "Enclave 2.x", "Mine"]
    assert table["Enclave-1"].source == "data sheet of 2026"
    assert table["Enclave 2.x"].source.endswith("mine.yml:8")
    assert table["Mine"].source.endswith("mine.csv:2")
    assert table["Enclave-1"].cells[COLUMNS["other_vms_c"]] is Capability.YES
    assert table["Enclave 2.x"].cells[COLUMNS["hypervisor_c"]] is Capability.REMOVED
    assert table["Mine"].cells[COLUMNS["cloud_manager_c"]] is Capability.YES
    fleet = Fleet(table, [server("s", "Enclave-1"), server("t", "Mine")])
    assert list(deploy(request(["1"]), fleet, NOW_NS).eligible) == ["s"]


def test_csv_columns_may_stand_in_any_order_and_state_a_source(written: Write) -> None:
    names = ["source", *HEADER.split(",")[::-1]]
    values = ["a paper", "Full VM", *["no"] * 14, "Mine", "software"]
    text = f"\ufeff{','.join(names)}\r\n\r\n{' , '.join(values)}\r\n"
    assert load_table([written(text, "MINE.CSV")])["Mine"].source == "a paper"


def test_the_line_of_a_csv_row_is_where_it_begins(written: Write) -> None:
    first = f'hardware,One,{",".join(["no"] * 14)},"Full VM"'
    again = first.replace("One", "Two")
    table = load_table([written(f"{HEADER}\n\n{first}\n{again}\n", "m.csv")])
    assert [table[name].source.rpartition(":")[2] for name in ("One", "Two")] == ["3", "4"]


def test_the_schema_names_every_cell() -> None:
    found = json.dumps(schema())
    assert set(Cells.model_fields) == set(COLUMNS)
    assert list(Cells.model_fields) == list(COLUMNS)
    assert all(f'"{column}"' in found for column in COLUMNS)
    assert "2020-12" in found


# -- twice


@pytest.mark.parametrize("name", ["HyperWall", "hyperwall", "TPM"])
def test_a_shipped_architecture_is_not_redefined(written: Write, name: str) -> None:
    message = refused(written(YAML.replace("Enclave-1", name)))
    assert "mine.yml:3: architectures[0].name" in message
    assert "is there already" in message
    assert "Security on Demand, Table III" in message
    assert "mine.csv:2" in refused(written(CSV.replace("Mine", name), "mine.csv"))


def test_an_architecture_is_there_once_in_all_files(written: Write) -> None:
    within = refused(written(YAML.replace("Enclave 2.x", "enclave-1")))
    assert "mine.yml:8" in within
    assert "enclave-1 of" not in within.split("already:")[0]
    assert "mine.yml:3" in within.split("already:")[1]
    between = refused(written(CSV, "one.csv"), written(CSV, "two.csv"))
    assert "two.csv:2" in between
    assert "one.csv:2" in between


# -- mistakes in YAML


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("kind: commercial", "kind: comercial", 4, "did you mean 'commercial'?"),
        ("same_app_c: no", "same_app_c: non", 7, "did you mean 'no'?"),
        ("same_app_c: no", "same_app_c: false", 7, "false is not allowed"),
        ("same_app_c: no", "same_app_c: No", 7, "'No' is not allowed"),
        ("same_app_c: no", "same_ap_c: no", 7, "did you mean 'same_app_c'?"),
        ("same_app_c: no, ", "", 7, "same_app_c: the key is missing"),
        ("same_app_c: no,", "same_app_c: no, same_app_c: yes,", 7, "there twice"),
        ("    protected: Full VM\n", "", 3, "protected: the key is missing"),
        ("protected: Full VM", "protected: ''", 5, "protected"),
        ("    source: data", "    sauce: data", 6, "did you mean 'source'?"),
        ("name: Enclave-1", "name: -x", 3, "beginning with a letter or digit"),
        ("name: Enclave-1", "name: 7", 3, "has to stand in quotes"),
        ("version: 1", "version: 2", 1, "version"),
        ("version: 1", "versoin: 1", 1, "did you mean 'version'?"),
        ("version: 1", "version: &x 1", 1, "anchors"),
    ],
)
def test_a_mistake_in_yaml_is_told_with_its_line(
    written: Write, old: str, new: str, line: int, text: str
) -> None:
    assert old in YAML
    message = refused(written(YAML.replace(old, new, 1)))
    assert f"mine.yml:{line}:" in message
    assert text in message


@pytest.mark.parametrize(
    "text", ["", "[]", "version: 1\n", "version: 1\narchitectures: []\n", "a: [", "\x00"]
)
def test_what_holds_no_rows_is_refused(written: Write, text: str) -> None:
    assert "mine.yml:" in refused(written(text))
    assert "mine.csv:" in refused(written(text, "mine.csv"))


def test_all_mistakes_are_told_at_once(written: Write) -> None:
    text = YAML.replace("commercial", "comercial").replace("software", "sofware")
    message = refused(written(text))
    assert "2 mistakes" in message, message


# -- mistakes in CSV


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("same_app_c", "same_ap_c", 1, "did you mean 'same_app_c'?"),
        ("same_app_c", "same_ap_c", 1, "same_app_c: the column is missing"),
        ("same_app_c", "same_app_i", 1, "there twice"),
        ("same_app_c", "", 1, "unknown column"),
        (",no,Full", ",noo,Full", 2, "did you mean 'no'?"),
        (",no,Full", ",,Full", 2, "'' is not allowed"),
        (",no,Full", ",YES,Full", 2, "'YES' is not allowed"),
        (",no,Full", ",no,no,Full", 2, "18 fields under 17 columns"),
        ("Mine,", "", 2, "16 fields under 17 columns"),
        ("Mine", "", 2, "architecture"),
        ("Mine", "M\u00efne", 2, "letters, digits"),
        ("hardware,Mine", "hard,Mine", 2, "did you mean 'hardware'?"),
        ("Full VM", "", 2, "protected_entity"),
        ("Full VM", '"Full\nVM"', 2, "one line"),
        ("Full VM", '"Full', 2, "not CSV"),
    ],
)
def test_a_mistake_in_csv_is_told_with_its_line(
    written: Write, old: str, new: str, line: int, text: str
) -> None:
    assert old in CSV
    message = refused(written(CSV.replace(old, new, 1), "mine.csv"))
    assert f"mine.csv:{line}:" in message
    assert text in message


def test_columns_that_are_missing_are_one_mistake(written: Write) -> None:
    message = refused(written("architecture,kind\n", "mine.csv"))
    assert "mistakes" not in message
    assert "same_app_c, same_app_i" in message
    assert message.count("the columns are missing") == 1


def test_a_header_alone_is_no_table(written: Write) -> None:
    assert "there is no row" in refused(written(HEADER + "\n", "mine.csv"))


# -- files


def test_a_file_of_another_kind_is_not_guessed_at(written: Write) -> None:
    assert "ends in .csv, .yml, .yaml" in refused(written(CSV, "mine.txt"))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="cannot be read"):
        load_table([tmp_path / "none.yml"])


# -- anything


@given(st.text(), st.sampled_from(["", f"{HEADER}\n", CSV]))
def test_any_text_is_rows_or_problems_in_csv(text: str, before: str) -> None:
    rows, problems = from_csv(before + text)
    assert bool(rows) != bool(problems)
    assert all(problem.line >= 1 for problem in problems)


@given(st.text(), st.sampled_from(["", "version: 1\narchitectures:\n", YAML]))
def test_any_text_is_rows_or_problems_in_yaml(text: str, before: str) -> None:
    rows, problems = from_yaml(before + text)
    assert bool(rows) != bool(problems)
    assert all(problem.line >= 1 for problem in problems)


VALUES = st.sampled_from([one.value for one in Capability])


@given(st.lists(VALUES, min_size=14, max_size=14))
def test_both_forms_say_the_same(values: list[str]) -> None:
    flow = ", ".join(f"{column}: {value}" for column, value in zip(COLUMNS, values, strict=True))
    yaml = (
        "version: 1\narchitectures:\n"
        f"  - {{name: Mine, kind: software, protected: Data, cells: {{{flow}}}}}\n"
    )
    (from_one,), _ = from_yaml(yaml)
    (from_other,), _ = from_csv(f"{HEADER}\nsoftware,Mine,{','.join(values)},Data\n")
    assert from_one.cells == from_other.cells
    assert [from_one.cells[COLUMNS[column]].value for column in COLUMNS] == values
