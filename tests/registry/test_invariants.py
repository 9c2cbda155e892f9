"""What must hold after any sequence of calls, against a model that is a few sets and numbers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason, Tier
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests import budgets
from tests.registry.subjects import SteppedPresent, condemned, enrolment, key, moment, result

HOST = "host-z"
IDS = st.sampled_from(["guest-1", "guest-2", "guest-3"])
TPMS = st.sampled_from(["tpm-1", "tpm-2", "tpm-3"])
NONCES = st.sampled_from([bytes([n]) * 16 for n in range(4)])
EPOCHS = st.integers(min_value=0, max_value=6)
TURNS = st.integers(min_value=1, max_value=2)


class Machine(RuleBasedStateMachine):
    """The registry compared with its model; a released identity leaves the model, a revoked one stays."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sodbench-registry-"))
        self.url = sqlite_url(self.folder / "registry.sqlite")
        self.present = SteppedPresent()
        self.tpm_of: dict[str, str] = {}
        self.turn_of: dict[str, int] = {}
        self.held: set[str] = set()
        self.revoked: set[str] = set()
        self.nonces: dict[bytes, float] = {}
        self.spent: set[bytes] = set()
        self.last_epoch: dict[str, int] = {}
        self.accepted: dict[tuple[str, int], int] = {}
        self.stale: list[tuple[str, int, int]] = []
        self.results = 0
        self.now_s = 0.0
        self.registry: Registry

    @initialize()
    def begin(self) -> None:
        shutil.copy(self.template, self.folder / "registry.sqlite")
        self.registry = open_registry(self.url, now=self.present)

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.folder)

    def refusal(self, reason: Reason) -> pytest.RaisesExc[RefusedError]:
        return pytest.raises(RefusedError, match=reason.value)

    @rule(attester=IDS, tpm=TPMS, turn=TURNS)
    def enrol(self, attester: str, tpm: str, turn: int) -> None:
        asked = enrolment(attester, tpm, "guest", turn)
        if attester in self.tpm_of or tpm in self.tpm_of.values():
            with self.refusal(Reason.IDENTITY_TAKEN):
                self.registry.enrol(asked)
            return
        self.registry.enrol(asked)
        self._begins(attester, tpm, turn)

    def _begins(self, attester: str, tpm: str, turn: int) -> None:
        self.tpm_of[attester], self.turn_of[attester] = tpm, turn
        self.held.discard(attester)
        self._forgets(attester)

    def _forgets(self, attester: str) -> None:
        """A memory is an identity's: it goes with the identity, and no later one of the same id has it."""
        self.accepted = {known: times for known, times in self.accepted.items() if known[0] != attester}

    @rule(attester=IDS, tpm=TPMS, turn=TURNS)
    def re_enrol(self, attester: str, tpm: str, turn: int) -> None:
        asked = enrolment(attester, tpm, "guest", turn)
        if attester not in self.tpm_of:
            expected = Reason.NOT_ENROLLED
        elif self.tpm_of[attester] != tpm:
            expected = Reason.IDENTITY_TAKEN
        elif attester in self.revoked:
            expected = Reason.REVOKED
        else:
            self.registry.re_enrol(asked)
            self._begins(attester, tpm, turn)
            return
        with self.refusal(expected):
            self.registry.re_enrol(asked)

    @rule(attester=IDS)
    def revoke(self, attester: str) -> None:
        if attester not in self.tpm_of:
            with self.refusal(Reason.NOT_ENROLLED):
                self.registry.revoke(attester, "lost")
            return
        self.registry.revoke(attester, "lost")
        self.revoked.add(attester)

    @rule(attester=IDS)
    def release(self, attester: str) -> None:
        if attester not in self.tpm_of or attester in self.revoked:
            with self.refusal(Reason.REVOKED if attester in self.revoked else Reason.NOT_ENROLLED):
                self.registry.release(attester, "gone")
            return
        self.registry.release(attester, "gone")
        del self.tpm_of[attester]
        self.held.discard(attester)
        self._forgets(attester)
        self.stale = [told for told in self.stale if told[0] != attester]

    @rule(nonce=NONCES)
    def issue(self, nonce: bytes) -> None:
        self._forget()
        issued = self.present.at
        if nonce in self.nonces or nonce in self.spent:
            with self.refusal(Reason.NONCE_REUSED):
                self.registry.issue(nonce, attester=HOST, issued=issued, expires=issued)
            return
        self.registry.issue(nonce, attester=HOST, issued=issued, expires=issued)
        self.nonces[nonce] = self.now_s

    def _forget(self) -> None:
        self.nonces = {nonce: end for nonce, end in self.nonces.items() if end >= self.now_s - 3600}

    @rule(nonce=NONCES)
    def consume(self, nonce: bytes) -> None:
        expected = nonce in self.nonces
        assert self.registry.consume(nonce) == expected
        if expected:
            del self.nonces[nonce]
            self.spent.add(nonce)

    @rule(s=st.sampled_from([1.0, 3599.0, 3601.0]))
    def wait(self, s: float) -> None:
        self.now_s += s
        self.present.at = moment(self.now_s)

    @rule(attester=IDS, tier=st.sampled_from([Tier.AFFIRMING, Tier.WARNING, Tier.CONTRAINDICATED]))
    def attest(self, attester: str, tier: Tier) -> None:
        turn = self.turn_of.get(attester, 1)
        name = key(self.tpm_of.get(attester, "tpm-1"), turn=turn).name
        state, version = self.registry.memory(attester, name)
        times = self.accepted.get((attester, turn), 0)
        assert state == (None if not times else {"times": times})
        free = attester in self.tpm_of and attester not in self.revoked
        expected = free and (attester not in self.held or tier is Tier.CONTRAINDICATED)
        assert self._accept(attester, name, times + 1, version, tier) == expected
        if expected:
            self.accepted[attester, turn] = times + 1
            self.results += 1
            self.stale.append((attester, turn, version))
            if tier is Tier.CONTRAINDICATED:
                self.held.add(attester)

    def _accept(self, attester: str, name: bytes, times: int, version: int, tier: Tier) -> bool:
        return self.registry.accept(
            result(attester, tier=tier),
            key_name=name,
            memory={"times": times},
            version=version,
            generated=self.present.at,
            expires=self.present.at.later(1),
        )

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def attest_late(self, data: st.DataObject) -> None:
        attester, turn, version = data.draw(st.sampled_from(self.stale))
        name = key(self.tpm_of.get(attester, "tpm-1"), turn=turn).name
        assert not self._accept(attester, name, 99, version, Tier.CONTRAINDICATED)

    @rule(attester=IDS)
    def condemn(self, attester: str) -> None:
        self.registry.record(condemned(attester), generated=self.present.at)
        self.results += 1
        if attester in self.tpm_of:
            self.held.add(attester)

    @rule(attester=IDS)
    def affirm_without_a_memory(self, attester: str) -> None:
        with pytest.raises(RegistryError, match="is not stored without"):
            self.registry.record(
                result(attester), generated=self.present.at, expires=self.present.at.later(1)
            )

    @rule(guest=IDS, epoch=EPOCHS)
    def place(self, guest: str, epoch: int) -> None:
        tpm = self.tpm_of.get(guest)
        if tpm is None or epoch <= self.last_epoch.get(tpm, -1):
            with self.refusal(Reason.NOT_ENROLLED if tpm is None else Reason.EPOCH_REUSED):
                self.registry.place(guest, HOST, epoch)
            return
        self.registry.place(guest, HOST, epoch)
        self.last_epoch[tpm] = epoch

    @rule()
    def open_again(self) -> None:
        self.registry.close()
        self.registry = open_registry(self.url, now=self.present)

    @invariant()
    def one_identity_has_one_tpm(self) -> None:
        found = {one.id: one for one in self.registry.attesters() if one.id != HOST}
        assert {name: one.ek_name for name, one in found.items()} == {
            attester: enrolment(attester, tpm).ek_name for attester, tpm in self.tpm_of.items()
        }
        assert len({one.ek_name for one in found.values()}) == len(found)

    @invariant()
    def a_hold_stays_and_so_does_a_revocation(self) -> None:
        found = [one for one in self.registry.attesters() if one.id != HOST]
        assert {one.id for one in found if one.held} == self.held
        assert {one.id for one in found if one.revoked} == self.revoked

    @invariant()
    def results_are_all_kept(self) -> None:
        numbers = [one.number for one in self.registry.results(limit=10_000)]
        assert len(numbers) == self.results
        assert numbers == sorted(numbers, reverse=True)

    @invariant()
    def epochs_only_grow(self) -> None:
        for guest in self.tpm_of:
            epochs = [one.epoch for one in self.registry.placements(guest)]
            assert epochs == sorted(set(epochs))


@budgets.examples(some=8, whole=25)
def test_the_invariants_hold_after_any_sequence_of_calls(tmp_path: Path, examples: int) -> None:
    template = tmp_path / "registry.sqlite"
    with open_registry(sqlite_url(template)) as registry:
        registry.enrol(enrolment(HOST))
    machine = type("Prepared", (Machine,), {"template": template})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
