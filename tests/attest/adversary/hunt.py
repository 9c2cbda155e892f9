"""Hunting mutants with the table: who notices that a check is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from harness.attest.evidence import KeyType
from tests.attest.adversary import mutants, table
from tests.attest.adversary.case import Case
from tests.attest.adversary.mutants import Mutant
from tests.attest.adversary.stage import WARNING, Scene, Stage

EQUIVALENT: tuple[tuple[str, str], ...] = (
    (
        "quote_steps.origin without attest.type != QUOTE",
        "a body is parsed as a quote's exactly where the type is QUOTE",
    ),
    (
        "quote_steps.origin without attest.selections is None",
        "the same, from the other side",
    ),
    (
        "quote_steps.clock without memory is not None",
        "the boot is the same only where something is remembered",
    ),
    (
        (
            "binding._text without raise RefusedError(Reason.BINDING, 'the host id is no text that "
            "UTF-8 can hold') from error"
        ),
        "nothing comes back then, and is refused as an empty field with the same reason",
    ),
    (
        (
            "continuity._after_the_move without raise RefusedError(Reason.QUOTED_BEFORE_MOVE, 'the "
            "evidence may be from before the move')"
        ),
        "no move arrives before it begins: the next check refuses with the same reason",
    ),
    (
        (
            "keys.AttestationKey.from_public without raise _not_a_key(f'named by algorithm "
            "{area.name_alg:#06x}')"
        ),
        "its name is taken afterwards, which is refused with the same reason",
    ),
    (
        "keys.AttestationKey.from_public without area.scheme is None",
        "None is in no set of schemes",
    ),
    (
        "continuity._after_the_move without the bound of "
        "after.earliest_ns <= move.began_ns + move.uncertainty_ns",
        "the same: the next check refuses at that moment too",
    ),
    (
        "ima._line_entry without raise MalformedError(f'a line of {len(line)} bytes')",
        "so long a line has more data than an entry may have, which is refused after more work",
    ),
    (
        "keys.load_endorsement without raise RefusedError(Reason.EK_KEY, refused.why) from refused",
        "no other kind is found then, which is refused with the same reason",
    ),
    (
        "ima._line_entry without the bound of len(line) > _MAX_LINE_BYTES",
        "the same for a line of that length",
    ),
    (
        (
            "ima.parse without raise RefusedError(Reason.SIZE_LIMIT, f'more than {_MAX_FEEDS} line feeds "
            "in its paths')"
        ),
        "a list of line feeds leads to no quote, which is found after minutes of work",
    ),
    (
        "ima.parse without the bound of feeds > _MAX_FEEDS",
        "the same for a list of that many",
    ),
    (
        "ima._ascii_entry without the bound of end < 0",
        "a list that begins with the end of a line is refused for its empty line too",
    ),
    (
        "keys._loaded_rsa without raise _unusable(str(error)) from error",
        "the library refuses no odd modulus of 2048 bits with the exponent 65537",
    ),
    (
        (
            "ima._line_entry without raise MalformedError(f'a template digest of {len(digest)} bytes; "
            "lists with those of SHA-1 are read')"
        ),
        "a digest of another length is not that of the data",
    ),
)
"""Mutants that cannot be told from the original, and why."""


def equivalent() -> frozenset[str]:
    """The names of the equivalent mutants."""
    return frozenset(name for name, _ in EQUIVALENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """What came of the mutants of one module.

    Attributes:
        tried: Mutants that could be told from the original.
        survivors: Those of them that the table did not notice.
        equivalent: Names of those that are known to be equivalent and were not noticed.
        noticed: Names of those that are listed as equivalent and were noticed all the same.
    """

    tried: int
    survivors: tuple[Mutant, ...]
    equivalent: frozenset[str]
    noticed: frozenset[str]

    @property
    def caught(self) -> int:
        return self.tried - len(self.survivors)


Forged = tuple[Case, Scene]


def forged(stages: Mapping[KeyType, Stage]) -> tuple[Forged, ...]:
    """Every case once, forged before any mutant lives, with the first type of key it makes sense for."""
    return tuple((case, case.forge(stages[case.kinds[0]])) for case in table.CASES)


def hunt(module: ModuleType, scenes: Sequence[Forged]) -> Hunt:
    """Send the table to every mutant of a module, but for cases that are answered wrongly without any."""
    sound = [(case, scene) for case, scene in scenes if table.said(scene) == case.expected]
    found = [(mutant, _noticed(mutant, sound)) for mutant in mutants.of(module)]
    listed = {mutant.id for mutant, _ in found} & equivalent()
    noticed = frozenset(mutant.id for mutant, seen in found if seen and mutant.id in listed)
    return Hunt(
        tried=sum(mutant.id not in listed for mutant, _ in found),
        survivors=tuple(mutant for mutant, seen in found if not seen and mutant.id not in listed),
        equivalent=frozenset(listed) - noticed,
        noticed=noticed,
    )


def _noticed(mutant: Mutant, scenes: Sequence[Forged]) -> bool:
    with mutants.alive(mutant):
        return any(table.said(scene) != case.expected for case, scene in scenes)


def false_accepts(scenes: Sequence[Forged]) -> Iterator[str]:
    """Attacks that are accepted now, each as it is found."""
    return (
        case.id
        for case, scene in scenes
        if not case.honest
        and (said := table.said(scene))
        and (said == "accepted" or said.startswith(WARNING))
    )


def changes(scenes: Sequence[Forged]) -> Iterator[str]:
    """Cases of which something else is said now than is expected, each as it is found."""
    return (case.id for case, scene in scenes if table.said(scene) != case.expected)
