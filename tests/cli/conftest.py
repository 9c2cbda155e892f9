"""The command and its registry, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.pvi.factory import locked_key, whereabouts
from harness.pvi.factory.whereabouts import Whereabouts
from harness.registry.registry import open_registry
from harness.report.document import drawing
from tests.cli.command import LIFE_S, Policy, Pvi, Sodbench
from tests.policy.stored import attested, stated
from tests.pvi.factory.places import CHEAP, EC_KEY, PASSPHRASE, RSA_KEY
from tests.registry.blank import blank
from tests.registry.subjects import enrolment


@pytest.fixture
def sodbench(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Sodbench:
    # The verifier's key is made where it is first needed: never in the home of whoever runs the tests.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("home")))
    return Sodbench(monkeypatch, capsys)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of runs in which there is nothing to draw: most of a report's time goes into its figures."""
    monkeypatch.setattr(drawing, "together", lambda jobs, pdf: nullcontext(iter([None] * len(jobs))))


@pytest.fixture
def policy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Policy]:
    url = blank(tmp_path)
    monkeypatch.setenv("SODBENCH_REGISTRY", url)
    monkeypatch.delenv("SODBENCH_CAPABILITIES", raising=False)
    with open_registry(url) as registry:
        yield Policy(monkeypatch, capsys, registry)


@pytest.fixture
def rack(policy: Policy) -> Policy:
    """Four servers and a guest on a."""
    for name, architecture in (("a", "HyperWall"), ("b", "HyperWall"), ("c", "DataSafe"), ("d", "NoHype")):
        attested(policy.registry, name, life_s=LIFE_S)
        stated(policy.registry, name, architecture, "hyperwall", simulated=name in "ab")
    policy.registry.enrol(enrolment("guest", kind="guest"))
    policy.registry.place("guest", "a", 1)
    return policy


@pytest.fixture
def pvi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Pvi:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SODBENCH_REGISTRY", blank(tmp_path))
    here = Whereabouts(
        marks=frozenset({("endorsement-key", enrolment("a").ek_name.hex())}),
        virtualisation="kvm",
        randomness="dice",
        hardware="an abacus",
    )
    monkeypatch.setattr(whereabouts, "here", lambda: here)
    monkeypatch.setattr(locked_key, "COST", CHEAP)
    made = Pvi(monkeypatch, capsys)
    made.folder = tmp_path / "pvi"
    secret = tmp_path / "passphrase"
    secret.write_text(f"{PASSPHRASE}\n")
    secret.chmod(0o600)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(EC_KEY, hashes.SHA256())
    (tmp_path / "request").write_bytes(signed.public_bytes(Encoding.PEM))
    bare = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "bare").write_bytes(bare)
    return made
