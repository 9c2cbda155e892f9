"""One enrolment at a time, in a file and on a server."""

from __future__ import annotations

import pytest

from harness.registry.errors import RegistryError
from harness.registry.registry import Registry, open_registry


def test_of_two_enrolments_at_once_the_second_waits_or_is_refused(registry: Registry, url: str) -> None:
    with open_registry(url, wait_s=0.2) as other:
        with registry.enrolling():
            with (
                pytest.raises(RegistryError, match="another enrolment is under way") as refused,
                other.enrolling(),
            ):
                pass
            assert refused.value.retry
        with other.enrolling():
            pass


def test_an_enrolment_that_failed_leaves_the_turn_to_the_next(registry: Registry) -> None:
    with pytest.raises(ZeroDivisionError), registry.enrolling():
        raise ZeroDivisionError
    with registry.enrolling():
        pass
