"""A fleet over time: servers go bad and recover, requests change, moves take their time and may fail.

The world does what a decision says, as a controller would, and checks each decision against an oracle that
knows the table and nothing of fleets and verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.attest.reasons import Tier
from harness.policy.capability import Capability
from harness.policy.fleet import Fleet
from harness.policy.server import Server
from harness.response.decide.assessment import Vm
from harness.response.decide.cause import FLED, Cause
from harness.response.decide.decide import Action, Nowhere, Relocate, Wait, decide, next_look_ns
from harness.response.decide.hysteresis import Held, ServerHistory, Tried, VmHistory, attempted, held, noted
from harness.response.decide.situation import State, UnderWay, due_ns, looked
from harness.response.policy import ResponsePolicy
from tests.response.fleets import TABLE


def satisfies(server: Server | None, vm: Vm, now_ns: int) -> bool:
    """Whether the server gives what the VM asks for: every cell of it, on evidence that counts."""
    if server is None or server.verdict.tier is not Tier.AFFIRMING or server.architecture is None:
        return False
    if server.verdict.expires_ns is None or server.verdict.expires_ns <= now_ns:
        return False
    cells = TABLE[server.architecture].cells
    return all(cells[cell] is Capability.YES and cell not in server.withdrawn for cell in vm.request.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """A move under way."""

    open: UnderWay
    cause: Cause
    ends_ns: int
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """How long each move takes, and whether it succeeds; asked once a move."""

    takes_ns: Callable[[], int]
    succeeds: Callable[[], bool]


class World:
    """The fleet, its VMs and the controller's memory."""

    def __init__(self, policy: ResponsePolicy, servers: Iterable[Server], vms: Iterable[Vm]) -> None:
        self.policy = policy
        self.now_ns = 1
        self.servers = {one.name: one for one in servers}
        self.fleet = Fleet(TABLE, self.servers.values())
        self.vms = {one.name: one for one in vms}
        self.past: dict[str, ServerHistory] = {}
        self.histories: dict[str, VmHistory] = {}
        self.moving: list[Moving] = []
        self.log: list[tuple[str, Tried]] = []
        self.actions: Sequence[Action] = ()
        for server in self.servers.values():
            self.change(server)

    def change(self, server: Server) -> None:
        """A server becomes this."""
        self.servers[server.name] = server
        self.fleet.update(server)
        self.past[server.name] = noted(self.past.get(server.name), server, self.now_ns)

    def ask(self, vm: Vm) -> None:
        """A customer asks for something else."""
        self.vms[vm.name] = vm

    def run(self, until_ns: int, luck: Luck) -> None:
        """Let time pass, deciding whenever something happened or may."""
        while True:
            self._end_moves()
            look_ns = self._turn(luck)
            ends = [one.ends_ns for one in self.moving]
            ends += [look_ns] if look_ns is not None else []
            ends += [e for one in self.servers.values() if (e := one.verdict.expires_ns) and e > self.now_ns]
            next_ns = min((*ends, until_ns))
            if next_ns >= until_ns:
                self.now_ns = until_ns
                self._end_moves()
                self._turn(luck)
                return
            assert next_ns > self.now_ns, "a decision that asks to be asked at once"
            self.now_ns = next_ns

    def _turn(self, luck: Luck) -> int | None:
        state = looked(self._state(), self.now_ns)
        self.histories = dict(state.histories)
        self.actions = decide(state, self.now_ns)
        self._check(state)
        for action in self.actions:
            if isinstance(action, Relocate):
                self._begin(action, luck)
            elif isinstance(action, Nowhere) and not action.known:
                self._resort(action)
        return next_look_ns(state, self.actions, self.now_ns)

    def _state(self) -> State:
        return State(
            policy=self.policy,
            fleet=self.fleet,
            vms=self.vms,
            servers=self.past,
            histories=self.histories,
            under_way={one.open.vm: one.open for one in self.moving},
            seed=7,
        )

    def _begin(self, action: Relocate, luck: Luck) -> None:
        open_one = UnderWay(vm=action.vm, source=self.vms[action.vm].host, destination=action.candidates[0])
        ends_ns = self.now_ns + luck.takes_ns()
        self.moving.append(Moving(open=open_one, cause=action.cause, ends_ns=ends_ns, ok=luck.succeeds()))

    def _resort(self, action: Nowhere) -> None:
        if action.what == "shut-down":
            del self.vms[action.vm]
            return
        done = Held(
            what=action.what,
            cause=action.cause,
            request_number=self.vms[action.vm].request_number,
        )
        self.histories[action.vm] = held(self.histories[action.vm], done)

    def _end_moves(self) -> None:
        for one in [moving for moving in self.moving if moving.ends_ns <= self.now_ns]:
            self.moving.remove(one)
            name, destination = one.open.vm, one.open.destination
            assert destination is not None
            ended = Tried(
                source=one.open.source,
                destination=destination,
                cause=one.cause,
                ended_ns=self.now_ns,
                ok=one.ok,
            )
            self.log.append((name, ended))
            self.histories[name] = attempted(self.histories.get(name, VmHistory()), ended, self.policy)
            if one.ok:
                vm = self.vms[name]
                self.vms[name] = replace(
                    vm,
                    host=destination,
                    placed_ns=self.now_ns,
                    turn=vm.turn + 1,
                )

    # -- the oracle

    def _check(self, state: State) -> None:
        actions = {one.vm: one for one in self.actions}
        assert len(actions) == len(self.actions)
        for name, vm in self.vms.items():
            due = due_ns(state, vm)
            wanted = (
                not satisfies(self.servers.get(vm.host), vm, self.now_ns)
                or state.history(name).suspended
                or (due is not None and due <= self.now_ns)
            )
            open_one = name in state.under_way
            assert (name in actions) == (wanted and not open_one), name
        moves = [one for one in self.actions if isinstance(one, Relocate)]
        free = self.policy.concurrent_migrations - len(state.under_way)
        assert len(moves) <= max(0, free)
        for one in self.actions:
            if isinstance(one, Relocate):
                self._check_move(one)
            elif isinstance(one, Wait):
                assert one.until_ns is None or one.until_ns > self.now_ns
                assert one.why
                if "link" in one.why:
                    assert len(moves) == max(0, free)
            else:
                assert one.until_ns is not None or not self._ways(self.vms[one.vm])

    def _check_move(self, move: Relocate) -> None:
        vm = self.vms[move.vm]
        assert move.candidates
        assert len(set(move.candidates)) == len(move.candidates)
        assert set(move.candidates) <= set(self._ways(vm))

    def _ways(self, vm: Vm) -> list[str]:
        return [
            name
            for name, server in self.servers.items()
            if name != vm.host and satisfies(server, vm, self.now_ns)
        ]

    def check_log(self) -> None:
        """No ping-pong: no VM moved more often, or went back sooner, than the policy lets it."""
        for name in {name for name, _ in self.log}:
            mine = [one for vm, one in self.log if vm == name]
            reasoned = [one for one in mine if one.cause is not Cause.MOVING_TARGET]
            for first, last in zip(reasoned, reasoned[self.policy.max_moves :], strict=False):
                assert last.ended_ns - first.ended_ns >= self.policy.per_ns
            flights = [one for one in mine if one.ok and one.cause in FLED]
            for flight in flights:
                for back in mine:
                    soon = 0 < back.ended_ns - flight.ended_ns < self.policy.return_after_ns
                    assert not (soon and back.ok and back.destination == flight.source)

    def check_rest(self) -> None:
        """At rest every VM is well, or it was reported and there really is no way; none was forgotten."""
        told = {one.vm: one for one in self.actions}
        for name, vm in self.vms.items():
            if any(one.open.vm == name for one in self.moving):
                continue
            if satisfies(self.servers.get(vm.host), vm, self.now_ns) and name not in told:
                continue
            action = told[name]
            if action.cause is Cause.MOVING_TARGET:
                continue
            assert isinstance(action, Nowhere), action
            assert action.known
            assert not self._ways(vm)
