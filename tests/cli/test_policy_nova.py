"""`sodbench policy` for an OpenStack: statements of hosts, and servers' metadata explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.attest.reasons import Reason, Tier
from harness.policy.nova.statement import read
from tests.cli.command import Policy
from tests.policy.stored import attested, stated

KEY = bytes(range(32))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file with two keys, as the scheduler has it."""
    path = tmp_path / "keys"
    path.write_text(f"k1 {bytes(32).hex()}\nk2 {KEY.hex()}\n")
    path.chmod(0o640)
    return path


def test_a_statement_is_what_the_registry_knows(policy: Policy, keys: Path) -> None:
    attested(policy.registry, "a", life_s=30)
    stated(policy.registry, "a", "HyperWall")
    said = policy("statement", "a", "--keys", keys, "--host", "compute-1")
    assert (said.code, said.err) == (0, "")
    now_ns = policy.registry.now().realtime_ns
    server = read("compute-1", [said.value["metadata"]], {"k2": KEY}, now_ns).server
    assert (server.verdict.tier, server.architecture) == (Tier.AFFIRMING, "HyperWall")
    assert server.verdict.expires_ns is not None
    assert server.verdict.expires_ns - now_ns < 30e9
    assert "CUSTOM_SOD_HYPERVISOR_C" in said.value["traits"]
    assert read("a", [said.value["metadata"]], {"k2": KEY}, now_ns).server.architecture is None


def test_of_a_server_that_is_not_believed_it_says_so(policy: Policy, keys: Path) -> None:
    attested(policy.registry, "a", Tier.CONTRAINDICATED, Reason.PCR_VALUE)
    stated(policy.registry, "a", "HyperWall")
    said = policy("statement", "a", "--keys", keys, "--key", "k1")
    assert said.value["metadata"]["sod_tier"] == "contraindicated"
    assert said.value["metadata"]["sod_key"] == "k1"
    assert said.value["traits"] == []


def test_keys_that_others_can_read_state_nothing(policy: Policy, keys: Path) -> None:
    attested(policy.registry, "a")
    assert (policy("statement", "a", "--keys", keys, "--key", "k3").code, KEY.hex() in keys.read_text()) == (
        2,
        True,
    )
    keys.chmod(0o644)
    said = policy("statement", "a", "--keys", keys)
    assert (said.code, said.out) == (4, "")
    assert "others" in said.err
    assert policy("statement", "a", "--keys", keys.with_name("none")).code == 4


@pytest.mark.parametrize(
    "around",
    [
        lambda said: said,
        lambda said: {"server": {"id": "x", "metadata": said}},
        lambda said: {"properties": said},
    ],
)
def test_a_servers_metadata_are_explained(policy: Policy, tmp_path: Path, around: object) -> None:
    attested(policy.registry, "a")
    stated(policy.registry, "a", "TPM")
    path = tmp_path / "server.json"
    assert callable(around)
    path.write_text(json.dumps(around({"sod_option_1": "true", "other": "x"})))
    said = policy("explain", "web-1", "a", "--metadata", path)
    assert said.code == 0
    assert "a does not satisfy it: a (TPM): other_vms_c, other_vms_i: n-a" in said.out


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ('{"sod_option_1": "1"}', 17, "unknown-value"),
        ('{"sod_option_4": "true"}', 17, "cloud-manager-trusted"),
        ('{"name": "x"}', 2, "ask for nothing"),
        ('{"sod_option_1": true}', 3, "no metadata"),
        ('{"a": "x", "a": "y"}', 3, "twice"),
        ("[]", 3, ""),
    ],
)
def test_what_metadata_cannot_ask_for_is_refused(
    policy: Policy, tmp_path: Path, text: str, code: int, part: str
) -> None:
    attested(policy.registry, "a")
    path = tmp_path / "server.json"
    path.write_text(text)
    said = policy("explain", "web-1", "a", "--metadata", path)
    assert (said.code, said.out) == (code, "")
    assert part in said.err
