"""A run's migrations are encrypted from its first trial to its last, or never."""

from __future__ import annotations

from typing import Any

import pytest

from harness import resources
from harness.campaign import file as files
from harness.campaign.plan import expand
from harness.campaign.run.encryption import KEY, as_begun, of_any, of_run
from harness.migration.obstacle import obstacle
from harness.migration.options import MigrationOptions
from tests.synthetic.campaigns import campaign


@pytest.mark.parametrize(
    ("manifest", "encrypted"),
    [({}, False), ({KEY: False}, False), ({KEY: True}, True), ({KEY: "true"}, False)],
)
def test_a_run_goes_on_as_it_began(manifest: dict[str, Any], encrypted: bool) -> None:
    assert as_begun(expand(campaign()), manifest, None).migration.encrypted is encrypted


VARIANTS = (
    "variants:\n  base: {}\n  plain: {migration: {tls: false}}\n  later: {migration: {mode: post-copy}}\n"
)


def test_the_manifest_names_the_variants_that_differ_in_it() -> None:
    assert of_run(expand(campaign(VARIANTS))) == {"base": True, "plain": False, "later": True}
    assert of_run(expand(campaign("variants: {a: {}, b: {guest: {vcpus: 2}}}\n"))) is True
    assert (
        of_run(expand(campaign("migration: {tls: false}\nvariants: {a: {}, b: {guest: {vcpus: 2}}}\n")))
        is False
    )
    off = "migration: {tls: false}\nvariants: {a: {}, b: {migration: {tls: true}}}\n"
    assert of_run(expand(campaign(off))) == {"a": False, "b": True}
    assert (of_run(expand(campaign())), of_run(expand(campaign("migration: {tls: false}\n")))) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("", True),
        ("migration: {tls: false}\n", False),
        (VARIANTS, True),
        ("migration: {tls: false}\nvariants: {a: {}, b: {migration: {tls: true}}}\n", True),
        ("variants: {a: {migration: {tls: false}}, b: {migration: {tls: false}}}\n", False),
    ],
)
def test_certificates_are_needed_where_any_variant_is_encrypted(text: str, needed: bool) -> None:
    assert of_any(expand(campaign(text))) is needed


@pytest.mark.parametrize(
    ("manifest", "encrypted"),
    [
        ({KEY: {"base": True, "plain": False}}, {"base": True, "plain": False}),
        ({KEY: {"base": "yes"}}, {"base": False, "plain": False}),
        ({KEY: True}, {"base": True, "plain": True}),
        ({}, {"base": False, "plain": False}),
    ],
)
def test_a_trial_goes_on_as_its_variant_began(manifest: dict[str, Any], encrypted: dict[str, bool]) -> None:
    plan = expand(campaign(VARIANTS))
    found = {name: as_begun(plan.under(name), manifest, name).migration for name in ("base", "plain")}
    assert {name: one.encrypted for name, one in found.items()} == encrypted
    assert found["base"].model_copy(update={"tls": None}) == plan.migration


def test_a_ready_made_campaign_sets_unencrypted_against_encrypted_migrations() -> None:
    path = resources.campaigns() / "options.yml"
    found = of_run(expand(files.loads(path.read_text(), str(path))))
    assert isinstance(found, dict)
    assert [name for name, encrypted in found.items() if not encrypted] == ["unencrypted"]


def test_without_a_word_on_encryption_the_plan_is_that_of_before() -> None:
    assert "tls" not in MigrationOptions().model_dump(mode="json")
    assert MigrationOptions(tls=False).model_dump(mode="json")["tls"] is False
    assert MigrationOptions().encrypted


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "internal error: unable to execute QEMU command 'object-add': The certificate has expired",
            "certificate",
        ),
        (
            "operation failed: migration out job: TLS handshake failed: Error in the pull function.",
            "certificate",
        ),
        ("job 'migration out' failed: The certificate hasn't got a known issuer", "certificate"),
        ("Cannot read from TLS channel: The TLS connection was non-properly terminated.", "certificate"),
        ("qemu-system-x86_64: Not a migration stream", "certificate"),
        ("tpm-emulator: Setting the stateblob (type 1) failed with a TPM error 0x21", "vtpm-secret"),
        ("Secret not found: no secret with matching uuid '5d0be4c0'", "vtpm-secret"),
        ("operation failed: migration out job: unexpectedly failed", None),
        ("Unable to read from monitor: Connection reset by peer", None),
    ],
)
def test_an_obstacle_is_told_from_the_words_of_the_error(said: str, found: str | None) -> None:
    assert obstacle(said) == found
