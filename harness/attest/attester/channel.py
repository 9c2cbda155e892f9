"""The standing conversation with an attester, on another machine over SSH or in a process of this one.

One request at a time, each with its time limit, each sent once: a quote that got no answer is a failure and
is never repeated behind its caller's back. When the attester's program has ended, the next request starts it
again, and that is counted. An answer that comes too late is dropped.
"""

from __future__ import annotations

import base64
import json
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Protocol, TypeVar

from harness.attest.attester import bounds
from harness.attest.attester.contract import (
    NONCE_LIMIT_BYTES,
    SAID_REASONS,
    Answer,
    Ask,
    Attester,
    AttesterError,
    CreatedKey,
    Identity,
    Limits,
    Properties,
    Reply,
    Secret,
    said,
    said_evidence,
)
from harness.attest.attester.turns import Turns
from harness.attest.evidence import EkType, KeyType
from harness.attest.reasons import Reason
from harness.clock import Clock
from harness.errors import UnreachableError
from harness.evidence.events import AttesterRestarted
from harness.evidence.record import Record
from harness.json_types import Json
from harness.pair_name import GUEST
from harness.rig.contract import Machine

_PROGRAM = (
    "/usr/bin/python3 -BEsu /opt/sodbench/attester/sodbench_attester.py --config /etc/sodbench/attester.toml"
)
INSTALLED = f"exec {_PROGRAM}"
"""How a machine that was provisioned starts its attester."""
INSTALLED_IN_GUEST = f"chrt --reset-on-fork --rr --pid 1 $PPID; exec chrt --rr 1 {_PROGRAM}"
"""The same, before everything else that a guest does (sched(7), SCHED_RR), with the connection's own process
but nothing else that is started over it. Otherwise the proof on arrival waits for the guest's load."""

PYTHON = "/usr/bin/python3"
CLOSE_S = 2.0
_WHY_CHARACTERS = 500
T = TypeVar("T")


class Line(Protocol):
    """A way to the attester's standard input, and to its end."""

    def send(self, line: str) -> None:
        """Send one line; UnreachableError when no program listens."""
        ...

    def close(self, *, wait_s: float = ...) -> bool:
        """End the program's input, and then the way to it."""
        ...


class Inbox:
    """The lines that have arrived over one way, with their stamps, until it ends."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._lines: deque[tuple[int, str]] = deque()
        self.closed: str | None = None
        self.limit_bytes = bounds.SMALL_BYTES
        self.too_long = False

    def fits(self, size_bytes: int) -> bool:
        """Whether an answer to the present question may have that many bytes."""
        self.too_long = self.too_long or size_bytes > self.limit_bytes
        return not self.too_long

    def on_line(self, stamp_ns: int, line: str) -> None:
        """A line has arrived; OSError where one waits already, as each question has one answer."""
        if self._lines:
            raise OSError("it said something that was not asked")
        self._lines.append((stamp_ns, line))
        self.arrived.set()

    def on_close(self, reason: str) -> None:
        """There will be no more of them."""
        self.closed = reason or "closed"
        self.arrived.set()

    def take(self) -> tuple[int, str] | None:
        """The oldest line; None when there is none yet, or none any more."""
        if not self._lines:
            return None
        first = self._lines.popleft()
        if not self._lines and self.closed is None:
            self.arrived.clear()
            if self._lines or self.closed is not None:  # something came between the look and the clearing
                self.arrived.set()
        return first

    @property
    def empty(self) -> bool:
        """Whether no line waits."""
        return not self._lines


class Conversation(ABC):
    """Questions and answers with one attester; :class:`~harness.attest.attester.contract.Attester` for any.

    Attributes:
        where: The attester, for messages.
        started: How often its program was started.

    `on_restart` is called for each start after the first, on the thread that asks.
    """

    def __init__(
        self,
        where: str,
        clock: Clock,
        limits: Limits,
        on_restart: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self.where = where
        self.started = 0
        self._on_restart = on_restart
        self._ended = "it was not asked before"
        self._clock = clock
        self._limits = limits
        self._turn = Turns(clock)
        self._way: tuple[Line, Inbox] | None = None
        self._last_id = 0

    @property
    def reopened(self) -> int:
        """How often the program had to be started again."""
        return max(0, self.started - 1)

    @abstractmethod
    def _start(self, inbox: Inbox) -> Line:
        """Start the program; UnreachableError when its machine does not answer."""

    # -- questions

    def identify(self) -> Identity:
        """Who the attester says it is."""
        return said(Identity, self._ask("identify", {}, self._limits.key_s).ok, where=self.where)

    def create_key(self, key: KeyType, *, ek: EkType | None = None) -> CreatedKey:
        """Have an attestation key made."""
        reply = self._ask("create_key", {"key": key, "ek": ek}, self._limits.key_s)
        return said(CreatedKey, reply.ok, where=self.where)

    def activate(self, key: KeyType, credential: bytes, secret: bytes, *, ek: EkType | None = None) -> bytes:
        """What is inside a credential; AttesterError ``credential`` when it was made for another key."""
        fields: dict[str, Json] = {"key": key, "ek": ek}
        fields |= {"credential": _base64(credential), "secret": _base64(secret)}
        return said(Secret, self._ask("activate", fields, self._limits.key_s).ok, where=self.where).secret

    def quote(self, ask: Ask) -> Answer:
        """Evidence for a question, with the controller's stamps.

        Raises:
            AttesterError: There is none; ``malformed-evidence`` when what came is not of its form.
            ValueError: The nonce is not one that every TPM takes.
        """
        if not 0 < len(ask.nonce) <= NONCE_LIMIT_BYTES:
            raise ValueError(f"a nonce has 1 to {NONCE_LIMIT_BYTES} bytes, not {len(ask.nonce)}")
        fields: dict[str, Json] = {
            "key": ask.key,
            "nonce": _base64(ask.nonce),
            "bank": ask.bank,
            "pcrs": list(ask.pcrs),
            "ima_from": ask.ima_from,
            "event_log": ask.event_log,
        }
        reply = self._ask("quote", fields, self._limits.request_s, ask.limit_bytes)
        evidence = said_evidence(reply.ok, where=self.where)
        return Answer(evidence=evidence, sent_ns=reply.sent_ns, received_ns=reply.received_ns)

    def properties(self) -> Properties:
        """What the machine tells a trust monitor."""
        return said(Properties, self._ask("properties", {}, self._limits.request_s).ok, where=self.where)

    def close(self) -> None:
        """End the program; a later question starts it again."""
        with self._turn:
            self._drop("it was closed", wait_s=CLOSE_S)

    # -- one request

    def _ask(
        self,
        operation: str,
        fields: Mapping[str, Json],
        limit_s: float,
        limit_bytes: int = bounds.SMALL_BYTES,
    ) -> Reply:
        if not self._turn.take(self._limits.key_s):
            raise self._error(Reason.TIMED_OUT, "another request has not ended")
        try:
            line, inbox = self._opened()
            self._last_id += 1
            text = json.dumps({"id": self._last_id, "op": operation, **fields}, separators=(",", ":"))
            inbox.limit_bytes = limit_bytes
            sent_ns = self._clock.now_ns()
            try:
                line.send(text)
            except UnreachableError as error:
                self._drop(f"it does not listen: {error.why}")
                raise self._error(Reason.ATTESTER_UNREACHABLE, error.why) from error
            received_ns, said_line = self._awaited(inbox, limit_s, operation)
            ok = self._judged(said_line)
        finally:
            self._turn.give()
        return Reply(ok=ok, sent_ns=sent_ns, received_ns=received_ns)

    def _opened(self) -> tuple[Line, Inbox]:
        """The way to a program that is there and has nothing left to say, started if need be."""
        if self._way is not None and (self._way[1].closed is not None or not self._way[1].empty):
            self._drop(self._way[1].closed or "it said something that was not asked")
        if self._way is not None:
            return self._way
        inbox = Inbox()
        try:
            self._way = self._start(inbox), inbox
        except UnreachableError as error:
            raise self._error(Reason.ATTESTER_UNREACHABLE, error.summary) from error
        self.started += 1
        if self.reopened:
            self._on_restart(self._ended)
        _, first = self._awaited(inbox, self._limits.start_s, "the start")
        if "ready" not in self._object(first):
            raise self._broken("it does not say that it is ready")
        return self._way

    def _awaited(self, inbox: Inbox, limit_s: float, what: str) -> tuple[int, str]:
        """The next line and its stamp; without one the way to the program is given up."""
        self._clock.wait(limit_s, inbox.arrived)
        taken, allowed_bytes = inbox.take(), inbox.limit_bytes
        inbox.limit_bytes = bounds.SMALL_BYTES
        if taken is None:
            closed = inbox.closed
            self._drop(closed or f"{what}: no answer within {limit_s:g} s")
            if inbox.too_long:
                raise self._error(Reason.SIZE_LIMIT, f"{what}: an answer of more than {allowed_bytes} bytes")
            if closed is not None:
                raise self._error(Reason.ATTESTER_FAILED, f"the attester ended before its answer: {closed}")
            raise self._error(Reason.TIMED_OUT, f"{what}: no answer within {limit_s:g} s")
        return taken

    def _judged(self, line: str) -> Mapping[str, Json]:
        """What an answer has under ``ok``; its ``error`` raised."""
        answer = self._object(line)
        if answer.get("id") != self._last_id:
            raise self._broken(f"an answer to {answer.get('id')!r} instead of {self._last_id}")
        ok, error = answer.get("ok"), answer.get("error")
        if isinstance(ok, dict):
            return ok
        if not isinstance(error, dict):
            raise self._broken("neither an answer nor an error")
        if error.get("ending") is True:
            self._drop("it said that it ends")
        raise self._error(_reason(error.get("reason")), str(error.get("why", "")))

    def _object(self, line: str) -> Mapping[str, Json]:
        try:
            bounds.check(line)
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._broken(f"no JSON: {error}") from error
        if not isinstance(value, dict):
            raise self._broken("no JSON object")
        return value

    def _broken(self, why: str) -> AttesterError:
        """The other side does not keep to the form: no later line of it can be understood either."""
        self._drop(why)
        return self._error(Reason.MALFORMED_EVIDENCE, why)

    def _error(self, reason: Reason, why: str) -> AttesterError:
        return AttesterError(reason, why, where=self.where)

    def _drop(self, why: str, *, wait_s: float = 0.0) -> None:
        if self._way is not None:
            self._ended = why[:_WHY_CHARACTERS]
            self._way[0].close(wait_s=wait_s)
            self._way = None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _reason(value: Json) -> Reason:
    """Why there is no answer, as the attester says: it may say no more than that, least of all a verdict."""
    return next((one for one in SAID_REASONS if one.value == value), Reason.ATTESTER_FAILED)


class RemoteAttester(Conversation):
    """The attester of a machine of the rig, or of the guest, over the machine's standing connection.

    Args:
        host: The machine; it is not closed with the conversation.
        clock: Stamps the sending; arrivals are stamped by the host's own clock, which must be the same.
        command: What starts the program there; by default what the playbooks installed.
        limits: How long to wait.
        on_restart: Told each time that the program was started again, with what ended it before.
    """

    def __init__(
        self,
        host: Machine,
        clock: Clock,
        *,
        command: str | None = None,
        limits: Limits | None = None,
        on_restart: Callable[[str], None] = lambda _why: None,
    ) -> None:
        where = f"{host.role} ({host.endpoint.address})"
        super().__init__(where, clock, limits or Limits(), on_restart)
        self._host = host
        self._command = command or (INSTALLED_IN_GUEST if host.role == GUEST else INSTALLED)

    def _start(self, inbox: Inbox) -> Line:
        return self._host.stream(self._command, inbox.on_line, on_close=inbox.on_close, fits=inbox.fits)


def channel(host: Machine, record: Record, stack: ExitStack) -> Attester:
    """A standing channel to a machine's attester, closed with `stack`; it connects when it is first used.

    That its program had to be started again is journalled: what it remembered is gone, and the question that
    it ended in had no answer.
    """

    def restarted(why: str) -> None:
        record.add(AttesterRestarted(machine=host.role, why=why))

    return remote(host, record.clock, stack, restarted)


def remote(
    host: Machine, clock: Clock, stack: ExitStack, on_restart: Callable[[str], None] = lambda _why: None
) -> Attester:
    """The same, journalled nowhere; `on_restart` is told what ended the attester's program before."""
    opened = RemoteAttester(host, clock, on_restart=on_restart)
    stack.callback(opened.close)
    return opened
