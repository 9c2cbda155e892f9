"""A run's migrations are encrypted from its first trial to its last, or never."""

from __future__ import annotations

from typing import Any

import pytest

from harness.campaign.plan import expand
from harness.campaign.run.encryption import KEY, as_begun
from harness.migration.obstacle import obstacle
from harness.migration.options import MigrationOptions
from tests.synthetic.campaigns import campaign


@pytest.mark.parametrize(
    ("manifest", "encrypted"),
    [({}, False), ({KEY: False}, False), ({KEY: True}, True), ({KEY: "true"}, False)],
)
def test_a_run_goes_on_as_it_began(manifest: dict[str, Any], encrypted: bool) -> None:
    assert as_begun(expand(campaign()), manifest).migration.encrypted is encrypted


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
