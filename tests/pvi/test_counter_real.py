"""Real vTPMs whose state is copied and put back behind the factory's back: the counts show it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from harness.attest.evidence import RefusedError
from harness.attest.played.local_tpm import LocalTpm, running
from harness.clock import realtime_ns
from harness.errors import UnreachableError
from harness.pvi import counter
from harness.pvi.factory import factory as factories
from harness.pvi.factory import locked_key
from harness.pvi.factory.factory import TRUST
from harness.pvi.factory.profiles import Profile
from harness.registry.registry import open_registry
from tests.cli.command import Sodbench
from tests.pvi.factory.places import CHEAP, HERE, PASSPHRASE, RSA_KEY, Place, asked
from tests.registry.blank import blank

pytestmark = pytest.mark.programs
HANDLE = "0x81010100"


@dataclass
class Owner:
    """A factory with a registry, and a VM that it certified.

    Attributes:
        sodbench: The command.
        place: The factory.
        vtpm: The state of the VM's vTPM.
    """

    sodbench: Sodbench
    place: Place
    vtpm: Path

    def look(self, tpm: LocalTpm) -> tuple[int, str]:
        """A look: the exit code, and what is doubted."""
        arguments = ("pvi", "identity", "look", "vm-1", "--via", "sh -c", "--tcti", tpm.tcti)
        said = self.sodbench(*arguments, "--handle", HANDLE, "--folder", self.place.folder)
        doubts = [line.partition(": ")[2] for line in said.out.splitlines() if line.startswith("In doubt")]
        return said.code, " ".join(doubts) or said.err

    @contextlib.contextmanager
    def running(self, state: Path, name: str) -> Iterator[LocalTpm]:
        """A vTPM with that state, as swtpm runs it for a guest."""
        folder = self.place.folder.with_name(name)
        folder.mkdir(exist_ok=True)
        with running(folder, state=state) as tpm:
            yield tpm


def identity_key(tpm: LocalTpm) -> ec.EllipticCurvePublicKey:
    """Make the VM's identity key in its vTPM."""
    tpm.run("tpm2_createek", "-c", "ek.ctx", "-G", "ecc", "-u", "ek.pub")
    tpm.flush()
    form = ("-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-f", "pem", "-u", "ak.pem")
    tpm.run("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", *form)
    tpm.flush()
    tpm.run("tpm2_evictcontrol", "-C", "o", "-c", "ak.ctx", HANDLE)
    tpm.flush()
    key = load_pem_public_key((tpm.folder / "ak.pem").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


@pytest.fixture
def owner(sodbench: Sodbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    url = blank(tmp_path)
    monkeypatch.setenv("SODBENCH_REGISTRY", url)
    monkeypatch.setattr(locked_key, "COST", CHEAP)
    with open_registry(url) as registry:
        place = Place(tmp_path / "pvi", registry.audit, now_ns=realtime_ns())  # type: ignore[arg-type]
        factories.make(place.folder, "shop", PASSPHRASE, HERE, registry.audit, place.now_ns)
        made = Owner(sodbench, place, tmp_path / "state")
        with made.running(made.vtpm, "a") as tpm:
            key = identity_key(tpm)
        endorsed = place.issue(asked(Profile.VTPM, key=RSA_KEY.public_key()))
        place.issue(asked(Profile.VM, key=key, endorsement=endorsed))
        yield made


@pytest.fixture
def sodbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Sodbench:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return Sodbench(monkeypatch, capsys)


def test_a_vtpm_whose_state_is_put_back_and_one_that_runs_twice_are_found(owner: Owner) -> None:
    with owner.running(owner.vtpm, "a") as tpm:
        assert owner.look(tpm) == (0, "")
        saved = owner.vtpm.with_name("saved")
    shutil.copytree(owner.vtpm, saved)
    with owner.running(owner.vtpm, "a") as tpm:  # a reboot is in order
        assert owner.look(tpm) == (0, "")
        assert owner.look(tpm) == (0, "")
    with owner.running(saved, "b") as copy:
        code, doubts = owner.look(copy)
        assert code == RefusedError.exit_code
        assert doubts.endswith("its state was put back.")
    with owner.running(owner.vtpm, "a") as tpm:
        code, doubts = owner.look(tpm)
    assert code == RefusedError.exit_code
    assert doubts.endswith("it was copied.")
    proof = ("--certificates", owner.place.folder / "issued", "--trust", owner.place.folder / TRUST)
    log = owner.vtpm.with_name("log")
    assert owner.sodbench("audit", "export", "--out", log).code == 0
    said = owner.sodbench("pvi", "identity", "verify", "vm-1", "--log", log, *proof)
    assert said.code == RefusedError.exit_code
    assert "its state was put back" in said.out
    assert "was looked at 5 times" in said.out


def test_a_guest_that_gives_no_look_is_unreachable_and_nothing_is_recorded(owner: Owner) -> None:
    base = ("pvi", "identity", "look", "vm-1", "--folder", owner.place.folder)
    for via in ("/nowhere/ssh vm-1", "false", "echo"):
        said = owner.sodbench(*base, "--via", via)
        assert said.code == UnreachableError.exit_code, said.err
    with open_registry(f"sqlite:///{owner.vtpm.parent}/registry.sqlite") as registry:
        assert registry.audit.entries(kind=counter.ENTRY) == ()


def test_the_counter_cannot_be_taken_back_by_defining_it_again(owner: Owner) -> None:
    with owner.running(owner.vtpm, "a") as tpm:
        assert owner.look(tpm) == (0, "")
        assert owner.look(tpm) == (0, "")
        tpm.run("tpm2_nvundefine", "-C", "o", f"{counter.INDEX:#x}")
        assert owner.look(tpm) == (0, "")
