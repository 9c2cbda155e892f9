"""A factory is refused on its own infrastructure's machines, and says of what kind its own is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.attest.played import local_tpm
from harness.attest.tpm.structures import name_of
from harness.errors import PrerequisiteError
from harness.pvi.factory import whereabouts
from harness.pvi.factory.whereabouts import KINDS, Kind, Mark, Whereabouts
from tests.attest.opening import endorsement_key

ID, BOOT = "0123456789abcdef" * 2, "01234567-89ab-cdef-0123-456789abcdef"
UUID = "deadbeef-89ab-4def-8123-456789abcdef"


def _here(*marks: Mark, virtualisation: str = "none") -> Whereabouts:
    return Whereabouts(
        marks=frozenset(marks), virtualisation=virtualisation, randomness="dice", hardware="none"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_mark_of_a_member_is_refused(kind: str) -> None:
    here = _here((kind, "x"), ("machine-id", "own"))
    whereabouts.require_outside(here, {(kind, "y"): "host a", ("other", "x"): "host b"})
    with pytest.raises(PrerequisiteError, match="machine of its own infrastructure") as refused:
        whereabouts.require_outside(here, {(kind, "x"): "host a"})
    assert refused.value.where == "host a"
    assert kind in refused.value.why


@pytest.mark.parametrize(
    ("word", "kind"),
    [("none", Kind.PHYSICAL), ("kvm", Kind.VIRTUAL), ("docker", Kind.VIRTUAL), ("", Kind.UNKNOWN)],
)
def test_what_is_not_known_to_be_physical_is_not_called_so(word: str, kind: Kind) -> None:
    assert _here(virtualisation=word).kind is kind


def test_only_what_identifies_one_machine_is_a_mark() -> None:
    found = whereabouts.marks(
        iter(
            [
                ("machine-id", f"{ID}\n"),
                ("boot-id", BOOT),
                ("uuid", UUID.upper()),
                ("machine-id", "uninitialized"),
                ("machine-id", ""),
                ("uuid", "00000000-0000-0000-0000-000000000000"),
                ("uuid", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
                ("uuid", "Not Settable"),
            ]
        )
    )
    assert found == {("machine-id", ID), ("boot-id", BOOT), ("uuid", UUID)}


class _Host:
    """A host that says `answer`."""

    role = "a"

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def run(self, command: str) -> str:
        assert "virsh" in command
        return self.answer


def test_a_host_says_what_it_and_its_guests_are() -> None:
    said = f"machine-id {ID}\nboot-id {BOOT}\nuuid \ndomain {UUID}\nendorsement-key {'ab' * 34}\nrubbish\n\n"
    assert whereabouts.of_host(_Host(said)) == {  # type: ignore[arg-type]
        ("machine-id", ID): "host a",
        ("boot-id", BOOT): "host a",
        ("uuid", UUID): "a guest of host a",
    }


def test_the_machine_is_described_from_its_files(tmp_path: Path) -> None:
    for name, text in {
        "etc/machine-id": ID,
        "proc/sys/kernel/random/boot_id": BOOT,
        "sys/class/dmi/id/product_uuid": UUID,
        "sys/class/misc/hw_random/rng_current": "tpm-rng-0\n",
        "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu aes rdrand\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = whereabouts.here(tmp_path)
    assert found.marks == {("machine-id", ID), ("boot-id", BOOT), ("uuid", UUID)}
    assert "the device tpm-rng-0, the processor's rdrand" in found.randomness
    assert found.hardware == "the processor's aes"


def test_a_machine_that_says_nothing_has_no_marks(tmp_path: Path) -> None:
    found = whereabouts.here(tmp_path)
    assert found.marks == frozenset()
    assert "no hardware that was found" in found.randomness
    assert found.hardware == "none was found"


def test_without_the_program_the_kind_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert whereabouts.here(tmp_path).kind is Kind.UNKNOWN


@pytest.mark.programs
def test_a_tpm_is_known_by_its_endorsement_keys(tmp_path: Path) -> None:
    with local_tpm.running(tmp_path) as tpm:
        found = [*whereabouts.endorsement_keys(tpm.tcti)]
        tpm.flush()
        assert found == [name_of(endorsement_key(tpm, one)) for one in ("rsa", "ecc")]
    assert [*whereabouts.endorsement_keys("swtpm:path=/nowhere")] == []
