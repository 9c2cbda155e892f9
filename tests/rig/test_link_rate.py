"""The link at a lower rate: what is limited, what is put back, and what is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from harness.errors import PrerequisiteError, UnreachableError
from harness.rig import link_rate
from harness.rig import link_rate_holder as holder
from harness.rig.limits import Limits

ROUTE = "198.18.0.12 dev br0 src 198.18.0.11 uid 0 \\    cache \n"
LAB = "qdisc tbf 8001: root refcnt 2 rate 1Gbit burst 625000b lat 50ms \n"
ADDRESSES = {"a": "198.18.0.11", "b": "198.18.0.12"}


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were given, on a host with the default discipline."""
    return commands(monkeypatch, "qdisc noqueue 0: root refcnt 2 \n")


def commands(monkeypatch: pytest.MonkeyPatch, before: str) -> list[list[str]]:
    given: list[list[str]] = []

    def tool(*command: str) -> str:
        given.append(list(command))
        return ROUTE if command[0] == "ip" else before if "show" in command else ""

    monkeypatch.setattr(holder, "tool", tool)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return given


def test_the_device_to_the_other_host_is_limited_and_put_back(
    tools: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    holder.main(["198.18.0.12", "250000000", "1000000000"])
    said = json.loads(capsys.readouterr().out)
    assert (said["state"], said["device"]) == ("held", "br0")
    asked, _, limited, back = tools
    assert asked == ["ip", "-o", "route", "get", "198.18.0.12"]
    assert limited[:6] == ["tc", "qdisc", "replace", "dev", "br0", "root"]
    assert limited[limited.index("rate") + 1] == "250000000bit"
    assert limited[limited.index("burst") + 1] == "156250"
    assert back == ["tc", "qdisc", "del", "dev", "br0", "root"]


def test_a_limit_of_the_labs_is_put_back_at_the_rate_of_the_inventory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = commands(monkeypatch, LAB)
    holder.main(["198.18.0.12", "250000000", "1000000000"])
    assert given[-1] == holder.limited("br0", 1_000_000_000)


@pytest.mark.parametrize(("before", "stated"), [("qdisc htb 1: root refcnt 2 \n", "1000000000"), (LAB, "0")])
def test_what_could_not_be_put_back_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], before: str, stated: str
) -> None:
    given = commands(monkeypatch, before)
    holder.main(["198.18.0.12", "250000000", stated])
    assert json.loads(capsys.readouterr().out)["state"] == "refused"
    assert not any("replace" in command for command in given)


def test_no_way_to_the_other_host_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(holder, "tool", lambda *_: "unreachable 198.18.0.12\n")
    holder.main(["198.18.0.12", "250000000", "0"])
    assert "no device leads" in json.loads(capsys.readouterr().out)["why"]


def test_a_tool_that_fails_says_what_it_said() -> None:
    with pytest.raises(holder.RefusedError, match="not-a-tool"):
        holder.tool("not-a-tool-of-iproute2")


class Machine:
    """A host whose holder says one line, and notes whether it was ended."""

    def __init__(self, role: str, line: str | None) -> None:
        self.role, self._line, self.closed, self.command = role, line, False, ""
        self.endpoint: Any = type("Endpoint", (), {"limits": Limits(answer_s=0.2)})()

    def python(self, program: Any, arguments: str = "") -> str:
        return f"{program.stem} {arguments}"

    def stream(self, command: str, on_line: Any, **_options: Any) -> Machine:
        self.command = command
        if self._line is not None:
            on_line(0, self._line)
        return self

    def close(self, **_options: Any) -> bool:
        self.closed = True
        return True


HELD = json.dumps({"state": "held", "device": "br0", "before": ""})


def hosts(a: str | None = HELD, b: str | None = HELD) -> Any:
    return {"a": Machine("a", a), "b": Machine("b", b)}


def test_both_directions_are_held_for_the_block_and_ended_after_it() -> None:
    both = hosts()
    with link_rate.held(both, ADDRESSES, 250_000_000, None) as devices:
        assert devices == {"a": "br0", "b": "br0"}
        assert both["a"].command == "link_rate_holder 198.18.0.12 250000000 0"
        assert both["b"].command == "link_rate_holder 198.18.0.11 250000000 0"
        assert not both["a"].closed
    assert both["a"].closed
    assert both["b"].closed


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"state": "refused", "why": "htb"}'])
def test_a_host_that_refuses_ends_it_for_both(line: str) -> None:
    both = hosts(b=line)
    with pytest.raises(PrerequisiteError, match="host b"), link_rate.held(both, ADDRESSES, 10**8, None):
        pass
    assert both["a"].closed


def test_a_host_that_says_nothing_is_unreachable() -> None:
    with (
        pytest.raises(UnreachableError, match="host a"),
        link_rate.held(hosts(a=None), ADDRESSES, 10**8, None),
    ):
        pass
