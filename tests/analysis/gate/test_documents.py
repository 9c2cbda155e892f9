"""A gate's outcome as JUnit XML: what is written is read back, and fits the schema kept here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xmlschema
from junitparser import Error, Failure, JUnitXml, Skipped

from harness.analysis.gate import documents
from harness.analysis.gate.declared import Gate
from harness.analysis.gate.known_bad import Entry
from harness.analysis.gate.rows import Result, judge
from tests.analysis.gate.made import cell, primary, side

XSD = Path(__file__).with_name("junit.xsd")
NAMES = ("20261127T101112Z-ab12cd", "20261128T101112Z-ef34ab")


def result(reason: str = "a <bug> & more") -> Result:
    entry = Entry(metric="total_time", workload="web", reason=reason, owner="kim", expires="2026-12-01")
    bad, good = side(5.0, seed=3), side(seed=2)
    cells = [
        cell(side(), good, workload="file", variant="a"),
        cell(side(), bad, workload="file", variant="a", metric="blackout"),
        cell(side(), side(trials=2, seed=4), workload="idle"),
        cell(side(), bad, workload="web"),
    ]
    return judge(cells, [entry])


def test_each_outcome_has_its_element() -> None:
    read = JUnitXml.fromstring(documents.as_junit(NAMES, result()))
    cases = {(suite.name, case.name): case.result for suite in read for case in suite}
    assert cases["file+a", "total_time"] == []
    kinds = {place: type(found[0]) for place, found in cases.items() if found}
    assert kinds == {
        ("file+a", "blackout"): Failure,
        ("idle", "total_time"): Error,
        ("web", "total_time"): Skipped,
    }
    assert (read.tests, read.failures, read.errors, read.skipped) == (4, 1, 1, 1)
    (excused,) = cases["web", "total_time"]
    assert excused.message.startswith("known bad until 2026-12-01: a <bug> & more (kim); worse by +")


def test_it_fits_the_schema_and_is_the_same_each_time() -> None:
    text = documents.as_junit(NAMES, result())
    xmlschema.XMLSchema(XSD).validate(text.decode())
    assert text == documents.as_junit(NAMES, result())


def test_the_schema_refuses_what_is_no_junit() -> None:
    known, text = xmlschema.XMLSchema(XSD), documents.as_junit(NAMES, result()).decode()
    for old, new in (('tests="4"', 'tests="four"'), ("<failure", "<failed"), (' classname="gate.web"', "")):
        assert old in text
        with pytest.raises(xmlschema.XMLSchemaValidationError):
            known.validate(
                text.replace(old, new).replace(
                    "</failure", f"</{new.strip('<')}" if "<" in new else "</failure"
                )
            )


def test_what_xml_cannot_hold_is_escaped() -> None:
    text = documents.as_junit(NAMES, result("bell \a and \x1b[2J"))
    xmlschema.XMLSchema(XSD).validate(text.decode())
    assert "\\x07 and \\x1b[2J" in text.decode()


def test_an_empty_outcome_is_a_document_too() -> None:
    assert (
        JUnitXml.fromstring(documents.as_junit(NAMES, Result(outcome="passed", rows=(), unused=()))).tests
        == 0
    )


def test_the_json_has_all_of_it() -> None:
    found = documents.as_json(NAMES, Gate(primary=(primary(),)), ["plan.seed: 1 against 2"], result())
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["outcome"] == "regressed" and again["schema"] == 1
    assert [row["outcome"] for row in again["rows"]] == ["passed", "regressed", "inconclusive", "regressed"]
    assert again["rows"][3]["excused"]["owner"] == "kim"
