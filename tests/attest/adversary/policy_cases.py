"""Policies that are empty, unknown or contradictory; results that expire; a verifier that is silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.attest.monitor.kinds.contract import Observation
from harness.attest.monitor.schedule import slot
from harness.attest.monitor.standing import Standing, concluded, failed
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.files import matched, policy, reference
from harness.attest.verdict import Verdict
from harness.clock import NS_PER_S
from harness.errors import InputFileError
from tests.attest.adversary.case import Case, grouped, warned
from tests.attest.adversary.stage import NOW_NS, Asked, Stage, digest, ignoring

STRICT = """\
version: 1
name: strict
pcrs: [0, 7, 10]
require: {pcr_values: check, event_log: check, ima: check}
"""
REFUSED_FILE = "appraisal-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """A file that a person wrote; `judge` says the kind of the error it ends with."""

    text: str

    def judge(self) -> str:
        try:
            policy(self.text, "policy.yml")
        except InputFileError as error:
            return error.kind
        return Reason.ACCEPTED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """A policy with reference values that may have nothing for it."""

    policy: str
    reference: str

    def judge(self) -> str:
        try:
            matched(policy(self.policy, "policy.yml"), reference(self.reference, "reference.yml"), "both")
        except InputFileError as error:
            return error.kind
        return Reason.ACCEPTED.value


def _file(text: str) -> Callable[[Stage], PolicyFile]:
    return lambda stage: PolicyFile(text=text)


def _with(old: str, new: str) -> Callable[[Stage], PolicyFile]:
    assert old in STRICT
    return _file(STRICT.replace(old, new))


FILE_CASES = grouped(
    "policy",
    ("policy-good", Reason.ACCEPTED, "A strict policy", _file(STRICT)),
    ("policy-empty", REFUSED_FILE, "An empty file", _file("")),
    ("policy-empty-mapping", REFUSED_FILE, "A policy of no words", _file("{}")),
    ("policy-not-a-mapping", REFUSED_FILE, "A list for a policy", _file("- strict")),
    (
        "policy-unknown-option",
        REFUSED_FILE,
        "An option that does not exist",
        _file(STRICT + "trust_all: true\n"),
    ),
    (
        "policy-misspelt-check",
        REFUSED_FILE,
        "A check that does not exist",
        _with("ima: check}", "imma: check}"),
    ),
    ("policy-check-left-out", REFUSED_FILE, "A check that is not spoken of", _with(", ima: check}", "}")),
    (
        "policy-unknown-verb",
        REFUSED_FILE,
        "A check that is neither check nor ignore",
        _with("ima: check}", "ima: maybe}"),
    ),
    ("policy-no-pcrs", REFUSED_FILE, "No PCR", _with("[0, 7, 10]", "[]")),
    ("policy-pcr-twice", REFUSED_FILE, "A PCR twice", _with("[0, 7, 10]", "[0, 0, 10]")),
    ("policy-pcr-24", REFUSED_FILE, "A PCR that does not exist", _with("[0, 7, 10]", "[0, 7, 10, 24]")),
    ("policy-sha1", REFUSED_FILE, "The SHA-1 bank", _file(STRICT + "bank: sha1\n")),
    (
        "policy-of-another-version",
        REFUSED_FILE,
        "A version that is not known",
        _with("version: 1", "version: 2"),
    ),
    (
        "policy-ima-unquoted",
        REFUSED_FILE,
        "An IMA list to check, and PCR 10 not quoted",
        _with("7, 10]", "7]"),
    ),
    (
        "policy-log-unquoted",
        REFUSED_FILE,
        "An event log to check, and no PCR of the firmware quoted",
        _with("[0, 7, 10]", "[10, 14]"),
    ),
    (
        "policy-endless",
        REFUSED_FILE,
        "Results that never expire",
        _file(STRICT + "result_lifetime_s: .inf\n"),
    ),
    ("policy-no-lifetime", REFUSED_FILE, "Nonces that live 0 s", _file(STRICT + "nonce_lifetime_s: 0\n")),
    ("policy-no-keys", REFUSED_FILE, "No type of key", _file(STRICT + "keys: []\n")),
    (
        "policy-huge-limit",
        REFUSED_FILE,
        "A quote of 1 MiB allowed",
        _file(STRICT + "limits: {attest_bytes: 1048576}\n"),
    ),
    (
        "policy-without-references",
        REFUSED_FILE,
        "Checks that the reference values have nothing for",
        lambda stage: Pairing(policy=STRICT, reference="version: 1\n"),
    ),
)


def _ignore_all(stage: Stage) -> Asked:
    nothing = ignoring(pcr_values="ignore", event_log="ignore", ima="ignore")
    return stage.honest().under(require=nothing)


def _only(stage: Stage, check: str, **reference: object) -> Asked:
    """Only one check wanted, and no reference value for it."""
    checks = dict.fromkeys(("pcr_values", "event_log", "ima"), "ignore") | {check: "check"}
    return stage.honest().under(require=ignoring(**checks), ima_unknown_file="ignore").against(**reference)


def _held_and_bad(stage: Stage) -> Asked:
    pcrs = {**stage.pcrs, 7: digest("evil")}
    scene = stage.quoting(pcrs=pcrs).sent(pcrs=pcrs).asked(held=True)
    return scene.under(require=ignoring(event_log="ignore"))


APPRAISAL_CASES = grouped(
    "policy",
    ("checks-nothing", Reason.NOTHING_APPRAISED, "A policy that checks nothing", _ignore_all),
    (
        "checks-nothing-of-held",
        Reason.HELD_CONTRAINDICATED,
        "The same for an attester that was found bad: it stays bad",
        lambda stage: _ignore_all(stage).asked(held=True),
    ),
    (
        "no-pcr-references",
        Reason.NOTHING_APPRAISED,
        "No reference value for any PCR",
        lambda stage: _only(stage, "pcr_values", pcrs={}),
    ),
    (
        "no-file-references",
        Reason.NOTHING_APPRAISED,
        "No reference value for any file",
        lambda stage: _only(stage, "ima", ima={"files": {}}),
    ),
    (
        "no-event-references",
        Reason.EVENT_UNKNOWN,
        "No reference value for any event",
        lambda stage: _only(stage, "event_log", pcrs={}, events={}),
    ),
    (
        "held",
        Reason.HELD_CONTRAINDICATED,
        "Perfect evidence of an attester that was found bad and not enrolled anew",
        lambda stage: stage.honest().asked(held=True),
    ),
    ("held-and-bad", Reason.PCR_VALUE, "Bad evidence of the same", _held_and_bad),
    (
        "software-tpm",
        Reason.SOFTWARE_TPM,
        "A TPM in software where the policy wants hardware",
        lambda stage: stage.honest().asked(software_tpm=True),
    ),
    (
        "software-tpm-warned",
        warned(Reason.SOFTWARE_TPM),
        "The same where the policy warns",
        lambda stage: stage.honest().asked(software_tpm=True).under(software_tpm="warn"),
    ),
    (
        "software-tpm-accepted",
        Reason.ACCEPTED,
        "The same where the policy accepts it",
        lambda stage: stage.honest().asked(software_tpm=True).under(software_tpm="accept"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Results of many attesters, read at one moment."""

    scenes: tuple[Asked, ...]
    after_s: float

    def judge(self) -> str:
        """The reasons that are read, one for all where they agree; none is better than its result."""
        said = set()
        for scene in self.scenes:
            result = scene.verify().result
            moment = result.expires_ns + round(self.after_s * NS_PER_S)
            read = result.verdict.at(moment)
            assert read.reason is Reason.ACCEPTED or read.tier in {Tier.NONE, Tier.CONTRAINDICATED}
            said.add(read.reason.value)
        return "+".join(sorted(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What a trust monitor holds of an attester after something happened to it."""

    standing: Standing
    at_ns: int

    def judge(self) -> str:
        """The reason as it is read at the moment."""
        read = self.standing.at(self.at_ns)
        assert read.verdict.reason is Reason.ACCEPTED or read.verdict.tier in {
            Tier.NONE,
            Tier.CONTRAINDICATED,
        }
        return read.verdict.reason.value


_LIFETIME_NS = 60 * NS_PER_S


def _standing(tier: Tier | None, reason: Reason = Reason.ACCEPTED) -> Standing:
    """A standing after one result, or before the first."""
    fresh = Standing(
        subject="host-a",
        monitor="quote",
        simulated=False,
        lifetime_ns=_LIFETIME_NS,
        deadline_ns=NOW_NS + _LIFETIME_NS,
    )
    if tier is None:
        return fresh
    said = Verdict(tier=tier, reason=reason, generated_ns=NOW_NS)
    seen = Observation(verdict=said, simulated=False)
    return concluded(fresh, seen, NOW_NS)[0]


def _down(standing: Standing) -> Callable[[Stage], Silence]:
    """The verifier cannot be asked."""
    gone = failed(standing, Reason.ATTESTER_UNREACHABLE, "nobody answers", NOW_NS + 1)[0]
    return lambda stage: Silence(standing=gone, at_ns=NOW_NS + 2)


def _late(standing: Standing, seconds: int) -> Callable[[Stage], Silence]:
    return lambda stage: Silence(standing=standing, at_ns=NOW_NS + seconds * NS_PER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """A thousand attesters that are started at one moment with one interval."""

    attesters: int
    interval_ns: int

    def judge(self) -> str:
        """Accepted where no hundredth of the interval has more than a thirtieth of them."""
        parts = [0] * 100
        for number in range(self.attesters):
            one = slot(f"host-{number}", f"host-{number}", start_ns=0, interval_ns=self.interval_ns)
            assert 0 <= one.due_ns < self.interval_ns
            parts[one.due_ns * 100 // self.interval_ns] += 1
        return Reason.ACCEPTED.value if max(parts) <= self.attesters / 30 else "storm"


TIME_CASES = grouped(
    "policy",
    (
        "all-expire-together",
        Reason.RESULT_EXPIRED,
        "Good results of twenty attesters, the moment they expire",
        lambda stage: Expired(scenes=(stage.honest(),) * 20, after_s=0.0),
    ),
    (
        "none-expired-yet",
        Reason.ACCEPTED,
        "The same, a moment earlier",
        lambda stage: Expired(scenes=(stage.honest(),), after_s=-0.001),
    ),
    (
        "bad-does-not-expire",
        Reason.HELD_CONTRAINDICATED,
        "A contraindicated result, long after",
        lambda stage: Expired(scenes=(stage.honest().asked(held=True),), after_s=86_400.0),
    ),
    ("monitor-fresh", Reason.ACCEPTED, "A good result while it lasts", _late(_standing(Tier.AFFIRMING), 59)),
    (
        "monitor-silent",
        Reason.RESULT_EXPIRED,
        "A good result that nobody confirmed in time",
        _late(_standing(Tier.AFFIRMING), 60),
    ),
    (
        "monitor-never-heard",
        Reason.MONITOR_SILENT,
        "A monitor that never said anything",
        _late(_standing(None), 60),
    ),
    (
        "verifier-down",
        Reason.ATTESTER_UNREACHABLE,
        "A good result, then nobody to ask",
        _down(_standing(Tier.AFFIRMING)),
    ),
    (
        "verifier-down-after-bad",
        Reason.PCR_VALUE,
        "A bad result, then nobody to ask: silence lifts no accusation",
        _down(_standing(Tier.CONTRAINDICATED, Reason.PCR_VALUE)),
    ),
    (
        "silent-after-bad",
        Reason.PCR_VALUE,
        "A bad result that nobody confirmed in time",
        _late(_standing(Tier.CONTRAINDICATED, Reason.PCR_VALUE), 3600),
    ),
    (
        "storm",
        Reason.ACCEPTED,
        "A thousand attesters started at once are spread over their interval",
        lambda stage: Storm(attesters=1000, interval_ns=_LIFETIME_NS),
    ),
)

CASES: tuple[Case, ...] = (*FILE_CASES, *APPRAISAL_CASES, *TIME_CASES)
