"""`sodbench attest` from its command line to a real TPM; only the way there is a process instead of SSH."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from harness import cli
from harness.attest.attester import channel
from harness.attest.evidence import RefusedError
from harness.attest.examine import evidence_file
from harness.attest.examine.outcome import Round
from harness.attest.examine.round import Examiner
from harness.attest.identity import authorities
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.logs import Line
from harness.attest.reasons import Reason
from harness.attest.reference.files import load_policy, load_reference
from harness.attest.reference.policy import ReferenceValues
from harness.attest.result import AttestationResult
from harness.attest.tokens import ear
from harness.attest.tpm import structures
from harness.cli.attest import machines as attest_machines
from harness.cli.attest import verify as verify_verb
from harness.clock import NS_PER_S, MonotonicClock, realtime_ns
from harness.registry import places
from harness.registry.registry import open_registry
from harness.rig import lock, session
from harness.rig import pair as pairs
from harness.rig.guest import domain, image
from harness.rig.guest.kind import STANDARD
from harness.rig.host import Host
from harness.rig.pair import Pair
from tests.attest.ek_certificates import Authority, pem
from tests.attest.machine import Machine, machine

pytestmark = pytest.mark.programs

INVENTORY = """
all:
  vars:
    sodbench_rig: lab
    sodbench_tpm: software
    sodbench_guest_network: {address: 192.0.2.100}
  children:
    hosts: {hosts: {a: {ansible_host: 192.0.2.11}, b: {ansible_host: 192.0.2.12}}}
    clients: {hosts: {client: {ansible_host: 192.0.2.13}}}
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def words(self) -> list[str]:
        return self.out.split()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Machine]]:
    folder = tmp_path_factory.mktemp("machines")
    with machine(folder / "a") as first, machine(folder / "b") as second:
        yield {"a": first, "b": second}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    inventory = tmp_path_factory.mktemp("rig") / "inventory.yml"
    inventory.write_text(INVENTORY)
    return pairs.load(inventory)


class Attest:
    """The command, run in this process the way its entry point runs it."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._captured = captured

    def __call__(self, *arguments: str | Path) -> Said:
        self._patch.setattr(sys, "argv", ["sodbench", "attest", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = self._captured.readouterr()
        assert isinstance(end.value.code, int)
        return Said(end.value.code, out, err)


@pytest.fixture
def attest(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    machines: dict[str, Machine],
    rig: Pair,
) -> Attest:
    """The command for a user of its own, on a rig whose machines are processes here."""

    def here(host: Host, _clock: object) -> LocalAttester:
        return machines[host.role].attester

    def authority(host: Host, folder: str) -> authorities.Authorities:
        assert folder == authorities.HOST_AUTHORITY
        return machines[host.role].authorities

    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SODBENCH_REGISTRY", raising=False)
    monkeypatch.setattr(pairs, "load", lambda _inventory, **_: rig)
    monkeypatch.setattr(attest_machines, "RemoteAttester", here)
    monkeypatch.setattr(authorities, "of_machine", authority)
    monkeypatch.setattr(lock, "hold", lambda _host, _purpose: nullcontext())
    return Attest(monkeypatch, capsys)


@pytest.fixture
def enrolled(attest: Attest) -> Attest:
    """Both hosts are enrolled and their reference values recorded."""
    assert attest("enrol", "--key", "ecc-p256").code == 0
    assert attest("reference").code == 0
    return attest


# -- enrol


def test_hosts_are_enrolled_and_it_is_said_what_that_proves(attest: Attest) -> None:
    said = attest("enrol")
    assert (said.code, said.err) == (0, "")
    assert "a: enrolled in" in said.out
    assert "vouched for by CN=swtpm-localca" in said.out
    assert said.out.count(attest_machines.FROM_THE_MACHINE) == 2
    assert said.words.count("ecc-p256") == said.words.count("rsa-2048") == 2
    with open_registry(places.registry_url()) as registry:
        assert [one.id for one in registry.attesters()] == ["a", "b"]


def test_the_registry_is_the_users_alone(attest: Attest) -> None:
    assert attest("status").out == "No machine is enrolled: `sodbench attest enrol`.\n"
    assert not places.data_folder().exists()
    assert attest("enrol", "a", "--key", "ecc-p256").code == 0
    assert places.data_folder().stat().st_mode & 0o077 == 0


def test_the_registry_can_be_named(attest: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/other.sqlite"
    assert attest("enrol", "a", "--key", "ecc-p256", "--registry", url).code == 0
    assert "No machine" in attest("status").out
    monkeypatch.setenv("SODBENCH_REGISTRY", url)
    assert "ecc-p256" in attest("status").out


def test_a_taken_identity_is_refused_with_the_remedy(enrolled: Attest) -> None:
    said = enrolled("enrol", "a")
    assert said.code == 14
    assert "identity-taken" in said.err
    assert "--renew" in said.err
    assert enrolled("enrol", "a", "--renew").code == 0


def test_named_roots_take_the_place_of_the_machines_own(
    attest: Attest, tmp_path: Path, machines: dict[str, Machine]
) -> None:
    roots = tmp_path / "roots"
    roots.mkdir()
    (roots / "maker.pem").write_bytes(pem(Authority().certificate))
    said = attest("enrol", "a", "--roots", roots)
    assert (said.code, "ek-chain" in said.err) == (14, True)

    found = machines["a"].authorities
    (roots / "lab.crt").write_bytes(pem(*found.roots))
    (roots / "lab-issuer.cer").write_bytes(pem(*found.intermediates))
    (roots / "readme.txt").write_text("not a certificate")
    said = attest("enrol", "a", "--roots", roots)
    assert said.code == 0
    assert attest_machines.FROM_THE_MACHINE not in said.out


def test_a_file_of_roots_that_cannot_be_read_is_named_and_the_others_count(
    attest: Attest, tmp_path: Path, machines: dict[str, Machine]
) -> None:
    found = machines["a"].authorities
    (tmp_path / "lab.pem").write_bytes(pem(*found.roots, *found.intermediates))
    (tmp_path / "broken.crt").write_bytes(b"rubbish")
    said = attest("enrol", "a", "--roots", tmp_path, "--key", "ecc-p256")
    assert said.code == 0
    assert said.err.count("warning") == 1
    assert str(tmp_path / "broken.crt") in said.err


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not certificates in PEM"),
        (b"rubbish", "not certificates in PEM"),
        (None, "the roots cannot be read"),
    ],
)
def test_roots_that_are_none_are_an_error_in_a_file(
    attest: Attest, tmp_path: Path, content: bytes | None, what: str
) -> None:
    roots = tmp_path / "roots.pem"
    if content is not None:
        roots.write_bytes(content)
    said = attest("enrol", "a", "--roots", roots)
    assert (said.code, what in said.err) == (3, True)


def test_an_authority_without_its_root_is_no_root(
    attest: Attest, tmp_path: Path, machines: dict[str, Machine]
) -> None:
    roots = tmp_path / "issuer.pem"
    roots.write_bytes(pem(*machines["a"].authorities.intermediates))
    said = attest("enrol", "a", "--roots", roots)
    assert (said.code, "no root among them" in said.err) == (3, True)


def test_a_hardware_tpm_without_roots_has_nobody(
    attest: Attest, rig: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine's own authority is never asked."""
    hardware = replace(rig, rig="pair", tpm={"a": "hardware", "b": "hardware"})
    monkeypatch.setattr(pairs, "load", lambda _inventory, **_: hardware)
    said = attest("enrol", "a")
    assert (said.code, "ek-chain" in said.err) == (14, True)
    assert "--roots" in said.err


def test_roots_of_the_inventory_are_used(
    attest: Attest, rig: Pair, machines: dict[str, Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.pem"
    found = machines["a"].authorities
    roots.write_bytes(pem(*found.roots, *found.intermediates))
    monkeypatch.setattr(pairs, "load", lambda _inventory, **_: replace(rig, attest_roots=roots))
    said = attest("enrol", "a", "--key", "ecc-p256")
    assert (said.code, attest_machines.FROM_THE_MACHINE in said.out) == (0, False)


def test_a_key_can_be_trusted_by_its_fingerprint(attest: Attest, machines: dict[str, Machine]) -> None:
    name = structures.name_of(machines["a"].attester.identify().ek_public["rsa-2048"]).hex()
    assert attest("enrol", "a", "--trust-ek", "00" * 32).code == 14
    said = attest("enrol", "a", "--trust-ek", name, "--key", "ecc-p256")
    assert said.code == 0
    assert "no certificate" in said.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["enrol", "c"], "no machine 'c'"),
        (["enrol", "--trust-ek", "00" * 32], "--trust-ek names one TPM"),
        (["enrol", "a", "--trust-ek", "0x12"], "no SHA-256"),
        (["enrol", "--key", "rsa-1024"], "no type of key"),
        (["verify", "a", "--evidence", "x"], "leave the machine out"),
        (["verify", "--policy", "nonsense"], "no such policy"),
        (["reference", "--out", "x.yml"], "--out is for one machine"),
        (["policy", "nonsense"], "ready-made ones: default, guest, lab"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(
    attest: Attest, arguments: list[str], text: str
) -> None:
    said = attest(*arguments)
    assert said.code == 2
    assert text in said.err


# -- verify


def test_known_good_hosts_are_affirmed(enrolled: Attest) -> None:
    said = enrolled("verify")
    assert said.code == 0
    assert said.words.count("affirming") == said.words.count("accepted") == 2
    assert "Policy: lab." in said.out


def test_the_latency_is_told_by_phase(enrolled: Attest) -> None:
    said = enrolled("verify", "a", "--json")
    (one,) = json.loads(said.out)
    stamps = one["stamps_ns"]
    assert stamps["NS"] < stamps["ER"] < stamps["RG"] < stamps["RR"] <= stamps["RA"] < stamps["RX"]
    assert [number for number, _name, _ns in one["steps_ns"]] == list(range(1, 13))
    assert one["attester_ns"]["quoting_ns"] < one["attester_ns"]["quoted_ns"]
    assert one["result"]["tier"] == "affirming"
    total, quote, way, verification, _ = map(float, enrolled("verify", "a").out.splitlines()[1].split()[4:])
    assert total == pytest.approx(quote + way + verification, abs=0.2)


def test_without_reference_values_nothing_is_asked(attest: Attest) -> None:
    assert attest("enrol", "a", "--key", "ecc-p256").code == 0
    said = attest("verify", "a")
    assert said.code == 4
    assert "sodbench attest reference a" in said.err
    with open_registry(places.registry_url()) as registry:
        assert registry.results() == ()


def test_who_is_not_enrolled_is_not_affirmed(enrolled: Attest) -> None:
    assert enrolled("release", "b", "--why", "rebuilt").code == 0
    said = enrolled("verify")
    assert said.code == 14
    assert "not-enrolled" in said.words
    assert said.words.count("affirming") == 1


def test_the_default_policy_refuses_a_tpm_in_software(enrolled: Attest) -> None:
    said = enrolled("verify", "a", "--policy", "default")
    assert said.code == 14
    assert "software-tpm" in said.words
    assert "held" in enrolled("status").out


def test_results_leave_as_signed_tokens(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "results.jwt"
    said = enrolled("verify", "--ear", out)
    assert said.code == 0
    key_file = places.signing_key_file()
    assert key_file.stat().st_mode & 0o777 == 0o600
    public = load_pem_public_key(key_file.with_suffix(".pub.pem").read_bytes())
    assert str(key_file.with_suffix(".pub.pem")) in said.err
    tokens = out.read_text().split()
    claims = [ear.decode(one, public, now_s=realtime_ns() // NS_PER_S) for one in tokens]  # type: ignore[arg-type]
    assert [one["ear_status"] for one in claims] == ["affirming", "affirming"]
    assert [list(one["submods"]) for one in claims] == [["a"], ["b"]]  # type: ignore[arg-type]
    before = key_file.read_bytes()
    assert enrolled("verify", "a", "--ear", out).code == 0
    assert key_file.read_bytes() == before
    assert jwt.get_unverified_header(out.read_text().strip())["alg"] == "ES256"


def test_a_key_that_others_can_read_signs_nothing(enrolled: Attest, tmp_path: Path) -> None:
    assert enrolled("verify", "a", "--ear", tmp_path / "one.jwt").code == 0
    places.signing_key_file().chmod(0o644)
    said = enrolled("verify", "a", "--ear", tmp_path / "two.jwt")
    assert (said.code, "readable by others" in said.err) == (4, True)
    assert not (tmp_path / "two.jwt").exists()


# -- quote, and evidence in a file


def test_a_stored_quote_is_judged_once(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    said = enrolled("quote", "a", "--out", out)
    assert (said.code, said.err) == (0, "")
    assert "Its nonce lives for 30 s." in said.out
    with open_registry(places.registry_url()) as registry:
        assert registry.latest("a") is None
    assert enrolled("verify", "--evidence", out).code == 0
    again = enrolled("verify", "--evidence", out)
    assert (again.code, "nonce-reused" in again.err) == (14, True)
    # Looking at an old file is no reason to distrust the machine.
    assert enrolled("verify", "a").code == 0


def test_a_stored_quote_speaks_for_its_own_machine_only(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    assert enrolled("quote", "a", "--out", out).code == 0
    content = json.loads(out.read_text())
    out.write_text(json.dumps({**content, "attester": "b"}))
    said = enrolled("verify", "--evidence", out)
    assert (said.code, "nonce-mismatch" in said.err) == (14, True)
    assert enrolled("verify", "b").code == 0


def test_changed_evidence_is_refused(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    assert enrolled("quote", "a", "--out", out).code == 0
    content = json.loads(out.read_text())
    content["evidence"]["pcrs"]["7"] = content["evidence"]["pcrs"]["0"]
    out.write_text(json.dumps(content))
    said = enrolled("verify", "--evidence", out)
    assert (said.code, "pcr-digest" in said.err) == (14, True)
    assert enrolled("verify", "a").code == 0, "whoever altered a file holds no machine"


def test_one_file_that_is_judged_by_several_at_once_holds_nobody(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    assert enrolled("quote", "a", "--out", out).code == 0
    kept = evidence_file.read(out)
    with open_registry(places.registry_url()) as registry:
        assert registry.consume(kept.nonce)
        policy = load_policy(places.policy_file("lab"))
        reference = ReferenceValues(version=1)
        examiner = Examiner(registry, lambda _name: policy, lambda _name: reference, MonotonicClock())
        issue, now = registry.issued(kept.nonce), registry.now()
        assert issue is not None
        # The other looked at the nonce before it was used.
        asked = evidence_file.answerable(kept, replace(issue, used=False), now)
        with pytest.raises(RefusedError) as lost:
            examiner.judge("a", asked, kept.evidence)
    assert lost.value.reason is Reason.NONCE_REUSED
    assert enrolled("verify", "a").code == 0


def test_a_token_ends_with_its_result_whenever_it_is_written(
    enrolled: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results.jwt"
    real = verify_verb._write_tokens

    def late(rounds: Sequence[Round], path: Path) -> None:
        real([replace(one, result=aged(one.result, 8 * NS_PER_S)) for one in rounds], path)

    monkeypatch.setattr(verify_verb, "_write_tokens", late)
    assert enrolled("verify", "a", "--ear", out).code == 0
    claims = jwt.decode(out.read_text().strip(), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 60
    assert claims["exp"] <= realtime_ns() / NS_PER_S + 52


def aged(result: AttestationResult, by_ns: int) -> AttestationResult:
    """The same result, generated that much earlier."""
    return replace(result, generated_ns=result.generated_ns - by_ns, expires_ns=result.expires_ns - by_ns)


def test_a_file_of_evidence_that_is_not_there_is_told_with_what_to_do(attest: Attest, tmp_path: Path) -> None:
    said = attest("verify", "--evidence", tmp_path / "none.json")
    assert (said.code, "cannot be read" in said.err, "Errno" in said.err) == (12, True, False)
    assert "check the path" in said.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}'])
def test_a_file_of_something_else_is_no_evidence(attest: Attest, tmp_path: Path, content: str) -> None:
    out = tmp_path / "evidence.json"
    out.write_text(content)
    said = attest("verify", "--evidence", out)
    assert (said.code, "not a file of evidence" in said.err) == (12, True)


def test_a_file_of_another_version_names_both_versions(attest: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    out.write_text('{"version": 2}')
    said = attest("verify", "--evidence", out)
    assert (said.code, "a file of evidence of version 2" in said.err) == (12, True)
    assert "reads version 1" in said.err


# -- status and revoke


def test_the_status_says_what_is_known_now(enrolled: Attest) -> None:
    before = {one["id"]: one for one in json.loads(enrolled("status", "--json").out)}
    assert {(one["tier"], one["why"]) for one in before.values()} == {("none", "never attested")}
    assert enrolled("verify", "a").code == 0
    after = {one["id"]: one for one in json.loads(enrolled("status", "--json").out)}
    assert (after["a"]["tier"], after["a"]["why"]) == ("affirming", "accepted")
    assert 0 <= after["a"]["last"]["age_s"] < 60
    assert after["b"]["tier"] == "none"
    line = next(one for one in enrolled("status").out.splitlines() if one.split()[:1] == ["a"])
    assert "(software)" in line
    assert "ecc-p256" in line
    assert "affirming, accepted," in line
    assert line.rstrip().endswith("s ago")


def test_a_result_that_expired_is_no_result(
    enrolled: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "short.yml"
    text = places.policy_file("lab").read_text()
    short.write_text(text.replace("result_lifetime_s: 60", "result_lifetime_s: 0.001"))
    assert enrolled("verify", "a", "--policy", short).code == 0
    (one,) = [one for one in json.loads(enrolled("status", "--json").out) if one["id"] == "a"]
    assert (one["tier"], one["why"]) == ("none", "expired; was affirming")


def test_a_revoked_host_is_contraindicated_for_good(enrolled: Attest) -> None:
    assert enrolled("verify", "b").code == 0
    assert enrolled("revoke", "b", "--why", "sold").code == 0
    said = enrolled("verify", "b")
    assert (said.code, "key-revoked" in said.words) == (14, True)
    (one,) = [one for one in json.loads(enrolled("status", "--json").out) if one["id"] == "b"]
    assert (one["tier"], one["why"], one["revoked"]) == ("contraindicated", "revoked", True)
    said = enrolled("enrol", "b", "--renew")
    assert (said.code, "revoked" in said.err) == (14, True)


@pytest.mark.parametrize("verb", ["revoke", "release"])
def test_only_who_is_enrolled_can_be_dismissed(attest: Attest, verb: str) -> None:
    said = attest(verb, "a", "--why", "gone")
    assert (said.code, "not-enrolled" in said.err) == (14, True)
    assert attest(verb, "a").code == 2


# -- reference values and policies


def test_reference_values_of_one_machine_go_where_they_are_wanted(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "a.yml"
    said = enrolled("reference", "a", "--out", out)
    assert said.code == 0
    assert f"{out}: reference values of a for the policy lab: 10 PCRs" in said.out
    assert load_reference(out) == load_reference(places.reference_file("a"))


def test_a_changed_machine_is_refused_until_its_new_values_are_recorded(
    tmp_path: Path, machines: dict[str, Machine], enrolled: Attest
) -> None:
    machines["b"].use([Line(path=b"/usr/bin/new%d" % tmp_path.stat().st_ino, content=b"1")])
    said = enrolled("verify", "b")
    assert (said.code, "ima-file-unknown" in said.words) == (14, True)
    assert "held" in enrolled("status").out
    before = load_reference(places.reference_file("b"))
    assert enrolled("reference", "b", "--add").code == 0
    after = load_reference(places.reference_file("b"))
    assert len(after.ima.files) == len(before.ima.files) + 1
    said = enrolled("verify", "b")
    assert (said.code, "held-contraindicated" in said.words) == (14, True)
    assert enrolled("enrol", "b", "--renew", "--key", "ecc-p256").code == 0
    assert enrolled("verify", "b").code == 0


class Guests:
    """A rig that can start a guest: machine b stands for it."""

    image_key = "0123456789abcdef"
    kind = STANDARD

    def __init__(self) -> None:
        self.done: list[str] = []
        self.hosts = {"a": SimpleNamespace(role="a")}
        self.guest = SimpleNamespace(role="b")
        self.hypervisors = SimpleNamespace(connect=lambda: {"a": "libvirt of a"})

    def specify(self, *, memory_mib: int, vcpus: int, tpm: bool) -> str:
        assert tpm
        return f"{memory_mib} MiB, {vcpus} vCPU"

    def vacate(self) -> None:
        self.done.append("vacated")

    def clear(self, spec: str) -> None:
        self.done.append(f"cleared {spec}")

    def boot(self, connection: str, host: SimpleNamespace, spec: str) -> None:
        self.done.append(f"booted {spec} by {connection}")

    def await_login(self, *_given: object, **_named: object) -> float:
        self.done.append("logged in")
        return 1.0


@pytest.fixture
def guests(attest: Attest, monkeypatch: pytest.MonkeyPatch, machines: dict[str, Machine]) -> Guests:
    rig = Guests()

    def authority(host: SimpleNamespace, folder: str) -> authorities.Authorities:
        assert (host.role, folder) == ("a", authorities.GUEST_AUTHORITY)
        return machines["b"].authorities

    monkeypatch.setattr(session, "open_rig", lambda *_given: nullcontext(rig))
    monkeypatch.setattr(domain, "boot", rig.boot)
    monkeypatch.setattr(domain, "await_login", rig.await_login)
    monkeypatch.setattr(image, "image_key", lambda *_arguments: rig.image_key)
    monkeypatch.setattr(channel, "RemoteAttester", lambda host, _clock: machines[host.role].attester)
    monkeypatch.setattr(authorities, "of_machine", authority)
    return rig


_SPEC = "1024 MiB, 1 vCPU"


def test_a_guest_is_booted_recorded_and_taken_away(attest: Attest, guests: Guests) -> None:
    said = attest("reference", "guest")
    assert (said.code, said.err) == (0, "")
    place = places.reference_file("guest-0123456789abcdef")
    assert f"{place}: reference values of guest for the policy guest: 7 PCRs" in said.out
    assert set(load_reference(place).pcrs["sha256"]) == {0, 2, 3, 4, 5, 6, 7}
    assert guests.done == [
        "vacated",
        f"cleared {_SPEC}",
        f"booted {_SPEC} by libvirt of a",
        "logged in",
        f"cleared {_SPEC}",
    ]
    with open_registry(places.registry_url()) as registry:
        assert registry.attesters() == ()
    assert attest("reference", "guest", "--add").code == 0


def test_a_guest_that_cannot_be_recorded_is_taken_away_too(
    attest: Attest, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorities, "of_machine", lambda _host, _folder: authorities.NOBODY)
    said = attest("reference", "guest")
    assert (said.code, "ek-chain" in said.err) == (14, True)
    assert guests.done[-1] == f"cleared {_SPEC}"
    with open_registry(places.registry_url()) as registry:
        assert registry.attesters() == ()


def test_no_reference_values_are_taken_from_a_stranger(attest: Attest) -> None:
    said = attest("reference", "a")
    assert (said.code, "not-enrolled" in said.err) == (14, True)
    assert not places.reference_file("a").exists()


@pytest.mark.parametrize("name", ["default", "lab", "guest"])
def test_shipped_policies_are_in_order(attest: Attest, name: str) -> None:
    said = attest("policy", name)
    assert said.code == 0
    assert "is in order" in said.out
    assert "checks pcr_values, event_log, ima" in said.out


@pytest.mark.parametrize("name", ["./lab", "lab.yml", "policies/lab.yml"])
def test_a_shipped_policy_does_not_stand_in_for_a_file_that_is_not_there(
    attest: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = attest("policy", name)
    assert (said.code, f"{name}: no such policy" in said.err) == (2, True)


def test_the_shipped_policies_differ_where_they_should(attest: Attest) -> None:
    assert "A TPM in software: refuse." in attest("policy", "default").out
    assert "A TPM in software: accept." in attest("policy", "lab").out
    assert "PCRs 0, 2, 3, 4, 5, 6, 7, 10 " in attest("policy", "guest").out


def test_it_is_shown_whether_a_warning_is_good_enough(attest: Attest, tmp_path: Path) -> None:
    strict = tmp_path / "strict.yml"
    shipped = places.policy_file("lab").read_text()
    strict.write_text(shipped.replace("warning_counts: true", "warning_counts: false"))
    assert "A result with a warning is good enough." in attest("policy", "default").out
    assert "A result with a warning is not good enough." in attest("policy", strict).out


def test_a_wrong_policy_is_shown_with_its_lines(attest: Attest, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(places.policy_file("lab").read_text().replace("software_tpm", "softwear_tpm"))
    said = attest("policy", wrong)
    assert said.code == 3
    assert "softwear_tpm: unknown key" in said.err
    assert "did you mean 'software_tpm'" in said.err


def test_a_policy_is_held_against_reference_values(attest: Attest, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yml"
    empty.write_text("version: 1\n")
    said = attest("policy", "lab", "--reference", empty)
    assert (said.code, "cannot be met" in said.err) == (3, True)


def test_a_verdict_is_whole_in_a_pipe(enrolled: Attest, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("80", "40", "0"):
        monkeypatch.setenv("COLUMNS", columns)
        said = enrolled("verify")
        assert said.code == 0
        rows = [line.split()[:4] for line in said.out.splitlines() if line.split()[0] in {"a", "b"}]
        assert rows == [[name, "ecc-p256", "affirming", "accepted"] for name in ("a", "b")]
