"""What is told of a guest's console when it does not answer: the end, where a panic is named."""

from __future__ import annotations

from typing import cast

import pytest

from harness.errors import GuestError
from harness.evidence import verdict
from harness.rig.contract import CommandError
from harness.rig.guest import domain
from harness.rig.host import Host
from harness.rig.pair import Endpoint
from tests.rig.test_guest_xml import SPEC

TRACE = [f"[ 22.94{n:04}] ? handle_mm_fault+0x{n:x}/0x2d0" for n in range(30)]
LAST = "[ 23.000000] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---"


class Silent:
    """A guest that answers nothing."""

    endpoint = Endpoint(role="guest", address="198.18.0.100", user="root", port=22)

    def run(self, command: str, **options: object) -> str:
        del command, options
        raise CommandError("the machine cannot be reached", retry=True)


class Storage:
    """A host on whose storage the console lies."""

    def __init__(self, console: str) -> None:
        self.console = console

    def attempt(self, command: str, **options: object) -> tuple[int, str, str]:
        del options
        assert command.startswith("tail -c 1500 ")
        return 0, self.console[-1500:], ""


def test_the_last_line_of_a_panic_is_among_an_attempts_reasons() -> None:
    host = cast("Host", Storage("\n".join([*TRACE, LAST])))
    with pytest.raises(GuestError) as caught:
        domain.require_answer(cast("Host", Silent()), host, SPEC)
    reasons = verdict.of_error(caught.value).reasons
    assert reasons[-1] == LAST
    assert "does not answer any more" in reasons[0]
    assert len(reasons) <= verdict.MOST_REASONS


def test_a_console_that_is_empty_is_said_to_be() -> None:
    with pytest.raises(GuestError, match="nothing was printed"):
        domain.require_answer(cast("Host", Silent()), cast("Host", Storage("")), SPEC)
