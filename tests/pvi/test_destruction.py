"""A certificate of destruction speaks of everything a guest leaves, and the unseen is not destroyed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.errors import AlteredError
from harness.evidence import signature
from harness.pvi import destruction
from harness.pvi.destruction import FILE, KIND, Certificate, Fate, Finding, Remains
from tests.pvi.test_package import GUEST


def _certificate(**fates: Fate) -> Certificate:
    findings = [
        Finding(remains=kind, fate=fates.get(kind.name, Fate.DESTROYED), why="as the test says")
        for kind in Remains
    ]
    return destruction.certificate(GUEST, "host-a", findings, began_ns=1, ended_ns=2)


def test_it_is_complete_where_everything_is_gone() -> None:
    assert _certificate(SWAP=Fate.NEVER_THERE).complete


@pytest.mark.parametrize("kind", list(Remains))
@pytest.mark.parametrize("fate", [Fate.LEFT, Fate.UNKNOWN])
def test_one_kind_that_is_left_or_unknown_makes_it_incomplete(kind: Remains, fate: Fate) -> None:
    assert not _certificate(**{kind.name: fate}).complete


def test_what_no_finding_speaks_of_is_unknown() -> None:
    seen = Finding(remains=Remains.MEMORY, fate=Fate.DESTROYED, why="as the test says")
    made = destruction.certificate(GUEST, "host-a", [seen], began_ns=1, ended_ns=1)
    assert not made.complete
    assert [one.fate for one in made.findings] == [Fate.DESTROYED, *[Fate.UNKNOWN] * (len(Remains) - 1)]


def test_a_kind_has_one_finding_and_time_goes_on() -> None:
    seen = Finding(remains=Remains.MEMORY, fate=Fate.DESTROYED, why="as the test says")
    with pytest.raises(ValueError, match="two findings of memory"):
        destruction.certificate(GUEST, "host-a", [seen, seen], began_ns=1, ended_ns=1)
    with pytest.raises(ValueError, match="before it began"):
        destruction.certificate(GUEST, "host-a", [seen], began_ns=2, ended_ns=1)


def test_it_is_read_back_as_it_was_signed(tmp_path: Path, factory: ec.EllipticCurvePrivateKey) -> None:
    made = _certificate(SWAP=Fate.UNKNOWN)
    destruction.write(tmp_path, made, factory)
    assert destruction.read(tmp_path, factory.public_key()) == made


def test_neither_another_factorys_nor_a_changed_one_is_read(
    tmp_path: Path, factory: ec.EllipticCurvePrivateKey
) -> None:
    place = destruction.write(tmp_path, _certificate(SWAP=Fate.LEFT), factory)
    with pytest.raises(AlteredError):
        destruction.read(tmp_path, ec.generate_private_key(ec.SECP256R1()).public_key())
    place.write_text(place.read_text().replace("left", "destroyed"))
    with pytest.raises(AlteredError):
        destruction.read(tmp_path, factory.public_key())


def test_one_that_leaves_a_kind_out_is_refused(tmp_path: Path, factory: ec.EllipticCurvePrivateKey) -> None:
    place = destruction.write(tmp_path, _certificate(), factory)
    stored = json.loads(place.read_text())
    stored["findings"].pop()
    place.write_text(json.dumps(stored))
    signature.sign(tmp_path, [FILE], factory, kind=KIND)
    with pytest.raises(AlteredError, match="no certificate"):
        destruction.read(tmp_path, factory.public_key())
