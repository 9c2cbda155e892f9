"""Validation against a brute-force oracle: every request there can be, on every architecture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.policy.fleet import Fleet
from harness.policy.request import Request, RequestRefusedError, request
from harness.policy.validation import deploy, relocate, satisfied
from tests.policy import oracle
from tests.policy.oracle import Asked
from tests.policy.servers import NOW_NS, TABLE, server

ROWS = oracle.table3()
REMOVING = [name for name, row in ROWS.items() if "removed" in row.values()]


def made(asked: Asked, *accepted: str) -> Request:
    return request([f"{option}:{letters}" for option, letters in asked.items()], accept_removed=accepted)


def kept() -> Iterator[Asked]:
    return (asked for asked in oracle.every_request() if oracle.refused(asked) is None)


def every_architecture() -> Fleet:
    return Fleet(TABLE, [server(f"server of {name}", name) for name in ROWS])


def test_every_request_is_refused_or_kept_as_the_oracle_says() -> None:
    told = 0
    for asked in oracle.every_request():
        try:
            found = made(asked)
        except RequestRefusedError as error:
            assert error.reason.value == oracle.refused(asked), asked
        else:
            assert oracle.refused(asked) is None, asked
            assert {str(cell) for cell in found.cells} == set(oracle.columns(asked))
        told += 1
    assert told == 4**7


@pytest.mark.parametrize("accepted", [(), tuple(REMOVING), ("HyperWall",), tuple(ROWS)], ids=len)
def test_every_request_on_every_architecture(accepted: tuple[str, ...]) -> None:
    fleet, judged = every_architecture(), 0
    for asked in kept():
        verdict = deploy(made(asked, *accepted), fleet, NOW_NS)
        lacks = {name: oracle.lacks(asked, row, name in accepted) for name, row in ROWS.items()}
        fitting = [name for name in ROWS if not lacks[name]]
        fitting.sort(key=lambda name: (oracle.surplus(asked, ROWS[name]), f"server of {name}"))
        assert list(verdict.eligible) == [f"server of {name}" for name in fitting], asked
        assert (verdict.count, verdict.reason is None) == (len(fitting), bool(fitting)), asked
        told = {
            one.server.removeprefix("server of "): {
                str(cell): word.removesuffix(", not accepted") for cell, word in one.cells.items()
            }
            for one in verdict.refused.values()
        }
        assert told == {name: found for name, found in lacks.items() if found}, asked
        judged += len(ROWS)
    # 4^6 without option 4, less those of option 2 with 5 or 6, less the empty one.
    assert judged == 13 * (4**6 - 3 * (4**2 - 1) * 4**3 - 1)


def test_relocation_is_deployment_without_the_server_that_is_left() -> None:
    fleet = every_architecture()
    for asked in kept():
        wanted = made(asked, *REMOVING)
        anywhere = list(deploy(wanted, fleet, NOW_NS).eligible)
        for here in fleet.names:
            verdict = relocate(wanted, fleet, here, NOW_NS)
            assert list(verdict.eligible) == [name for name in anywhere if name != here]
            assert len(verdict.eligible) == verdict.count == len(anywhere) - (here in anywhere)
            assert here in verdict.refused
            assert (satisfied(wanted, fleet, here, NOW_NS) is None) == (here in anywhere)


def test_removed_counts_only_for_the_architecture_that_is_named() -> None:
    assert REMOVING == ["NoHype"]
    fleet = Fleet(TABLE, [server("n", "NoHype"), server("w", "HyperWall")])
    for accepted, expected in (((), ["w"]), (("HyperWall",), ["w"]), (("NoHype",), ["n", "w"])):
        assert list(deploy(made({"2": "ci"}, *accepted), fleet, NOW_NS).eligible) == expected
