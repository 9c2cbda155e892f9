"""A request in a server's metadata: the keys, how they are read, and how a request becomes them.

A customer fills in a form of the dashboard (:mod:`harness.policy.nova.metadef`), and Nova keeps the answers
as texts. One key is one question: option 1 is ``sod_option_1``. Who asks for nothing has none of the keys.
Whoever has one of them, even misspelt, asks for something, and what cannot be read is refused: a server must
not start unprotected because of a typing mistake.

Source: Security on Demand, sections III-B and IV (the request is a key-value pair in instance_metadata).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final

from harness.errors import SodbenchError
from harness.nearest import nearest
from harness.policy.packages import PACKAGES
from harness.policy.request import Request, RequestRefusedError, request
from harness.policy.threats import BOTH, OPTIONS, Aspect

PREFIX: Final = "sod_"
"""How every key begins."""

OPTION_KEYS: Final[Mapping[int, str]] = MappingProxyType({one: f"{PREFIX}option_{one}" for one in OPTIONS})
"""Whether an option is asked for: a boolean each."""
ONLY_KEYS: Final[Mapping[int, str]] = MappingProxyType({one: f"{PREFIX}option_{one}_only" for one in OPTIONS})
"""The one aspect in which an option is asked for, where it is not as all others: one of `ONLY`."""
ASPECT_KEYS: Final[Mapping[Aspect, str]] = MappingProxyType(
    {Aspect.CONFIDENTIALITY: f"{PREFIX}confidentiality", Aspect.INTEGRITY: f"{PREFIX}integrity"}
)
"""Whether the options protect this aspect: a boolean each. Without both keys they protect both."""
PACKAGE_KEYS: Final[Mapping[str, str]] = MappingProxyType({one: f"{PREFIX}package_{one}" for one in PACKAGES})
"""Whether a package is asked for: a boolean each. It carries its own aspects."""
ACCEPT_KEY: Final = f"{PREFIX}accept_removed"
"""The architectures whose removed cells are accepted: their names, between semicolons."""
STATUS_KEY: Final = f"{PREFIX}status"
REASON_KEY: Final = f"{PREFIX}reason"
ANSWER_KEYS: Final = frozenset({STATUS_KEY, REASON_KEY})
"""What the provider answers in the same place. They ask for nothing."""

ONLY: Final[Mapping[str, Aspect]] = MappingProxyType(
    {"confidentiality": Aspect.CONFIDENTIALITY, "integrity": Aspect.INTEGRITY}
)
"""The values of `ONLY_KEYS`."""

MOST_KEYS: Final = 64
"""How many keys of a request are read; there are fewer questions."""
MOST_CHARACTERS: Final = 255
"""How long a key and a value may be: Nova's columns are no longer."""

_BOOLEANS: Final[Mapping[str, bool]] = MappingProxyType(
    {"true": True, "True": True, "false": False, "False": False}
)
"""The dashboard writes the first spelling of each, a program in Python the second."""
_KNOWN: Final = frozenset(
    {*OPTION_KEYS.values(), *ONLY_KEYS.values(), *ASPECT_KEYS.values(), *PACKAGE_KEYS.values(), ACCEPT_KEY}
)
_TEXTS: Final = frozenset({*ONLY_KEYS.values(), ACCEPT_KEY})
_OURS = re.compile(r"[\W_]*sod([\W_]|option|package|confidential|integrity|accept)", re.ASCII)
"""What begins so, in any case, was meant as one of the keys."""


class MetadataReason(StrEnum):
    """Why metadata are no request; stable. What the request itself cannot be is its own reason."""

    UNKNOWN_KEY = "unknown-key"
    UNKNOWN_VALUE = "unknown-value"
    NOT_CHOSEN = "not-chosen"
    TOO_LONG = "too-long"
    CONTRADICTION = "contradiction"


class MetadataRefusedError(SodbenchError):
    """A server's metadata ask for protection in a way that cannot be understood; nothing is guessed."""

    exit_code: ClassVar[int] = RequestRefusedError.exit_code
    kind: ClassVar[str] = RequestRefusedError.kind

    def __init__(self, reason: MetadataReason, what: str, *, why: str = "", remedy: str = "") -> None:
        super().__init__(what, where=reason.value, why=why, remedy=remedy)
        self.reason = reason


def asks(metadata: Mapping[str, str]) -> bool:
    """Whether any key asks for protection, or was meant to."""
    return any(_meant(key) and key not in ANSWER_KEYS for key in metadata)


def from_metadata(metadata: Mapping[str, str]) -> Request | None:
    """The request that a server's metadata are; None where they ask for nothing.

    Raises:
        MetadataRefusedError: A key or a value is not of the vocabulary, or they contradict each other.
        RequestRefusedError: They ask for what cannot be kept.
    """
    if not asks(metadata):
        return None
    found = _ours(metadata)
    wanted = {key for key in found if key not in _TEXTS and _boolean(key, found[key])}
    texts = _options(found, wanted)
    packages = [name for name, key in PACKAGE_KEYS.items() if key in wanted]
    return request(texts, packages, _accepted(found))


def to_metadata(asked: Request) -> dict[str, str]:
    """The metadata that :func:`from_metadata` reads as `asked`.

    The options of a package are written out next to its name, so that a later change of the package weakens
    no server. A package that is not known any more is left out; its options stay.

    Raises:
        MetadataRefusedError: It accepts more architectures than one value can name.
    """
    alike = set(asked.options.values())
    narrow = next(iter(alike)) if len(alike) == 1 and alike != {BOTH} else None
    found = {OPTION_KEYS[number]: "true" for number in asked.options}
    if narrow is not None:
        found |= {ASPECT_KEYS[aspect]: _written(aspect in narrow) for aspect in Aspect}
    else:
        words = {aspect: word for word, aspect in ONLY.items()}
        single = {number: one for number, one in asked.options.items() if one != BOTH}
        found |= {ONLY_KEYS[number]: words[next(iter(one))] for number, one in single.items()}
    found |= {PACKAGE_KEYS[name]: "true" for name in asked.packages if name in PACKAGE_KEYS}
    if asked.accept_removed:
        found[ACCEPT_KEY] = ";".join(sorted(asked.accept_removed))
    return _ours(found)


def answer(refused: SodbenchError | None) -> dict[str, str]:
    """What a server's metadata tell its owner: ``accepted``, or ``refused`` with the reason in one line."""
    if refused is None:
        return {STATUS_KEY: "accepted", REASON_KEY: ""}
    return {STATUS_KEY: "refused", REASON_KEY: refused.summary[:MOST_CHARACTERS]}


def _meant(key: str) -> bool:
    return _OURS.match(key.casefold()) is not None


def _ours(metadata: Mapping[str, str]) -> dict[str, str]:
    """The keys of the vocabulary but for the answers, each of them known and none too long."""
    found = {key: value for key, value in metadata.items() if _meant(key) and key not in ANSWER_KEYS}
    if len(found) > MOST_KEYS or any(
        max(len(key), len(value)) > MOST_CHARACTERS for key, value in found.items()
    ):
        raise MetadataRefusedError(
            MetadataReason.TOO_LONG,
            "the metadata are longer than any request",
            why=f"at most {MOST_KEYS} keys of at most {MOST_CHARACTERS} characters, and as many in a value",
            remedy="remove the keys that begin with sod_, and fill in the form again",
        )
    for key in found:
        if key not in _KNOWN:
            raise MetadataRefusedError(
                MetadataReason.UNKNOWN_KEY,
                f"there is no key {key!r}",
                why="a misspelt key would leave a server with less protection than it asks for",
                remedy=nearest(key, _KNOWN) or "use the keys of the form",
            )
    return found


def _boolean(key: str, value: str) -> bool:
    found = _BOOLEANS.get(value)
    if found is not None:
        return found
    if value in {"", "null", "None"}:
        raise MetadataRefusedError(
            MetadataReason.NOT_CHOSEN,
            f"{key} was added and not answered",
            why="the dashboard writes 'null' for a box that was never ticked",
            remedy="tick it, or remove it",
        )
    raise MetadataRefusedError(
        MetadataReason.UNKNOWN_VALUE,
        f"{key} is {value!r}",
        why="true and false are the values there are",
        remedy="write true, or remove the key",
    )


def _accepted(found: Mapping[str, str]) -> list[str]:
    """The architectures whose removed cells are accepted."""
    if ACCEPT_KEY not in found:
        return []
    names = found[ACCEPT_KEY].split(";")
    if not all(name and name.isprintable() and name == name.strip() for name in names):
        raise MetadataRefusedError(
            MetadataReason.UNKNOWN_VALUE,
            f"{ACCEPT_KEY} is {found[ACCEPT_KEY]!r}",
            why="its value is an architecture's name, or several with a semicolon between two",
            remedy="choose one of the form, or remove the key",
        )
    return names


def _options(found: Mapping[str, str], wanted: set[str]) -> list[str]:
    """The options as they are written elsewhere, such as ``2:c``."""
    general = _general(found, wanted)
    texts = []
    for number, key in OPTION_KEYS.items():
        only = _only(number, found)
        if only is not None and key not in wanted:
            raise _contradiction(f"{ONLY_KEYS[number]} narrows an option that is not asked for")
        if only is not None and not only <= general:
            raise _contradiction(f"{ONLY_KEYS[number]} names what no option protects")
        if key in wanted:
            texts.append(f"{number}:{''.join(sorted(only or general))}")
    return texts


def _general(found: Mapping[str, str], wanted: set[str]) -> frozenset[Aspect]:
    """The aspects in which options protect where nothing narrows them."""
    if not any(key in found for key in ASPECT_KEYS.values()):
        return BOTH
    general = frozenset(aspect for aspect, key in ASPECT_KEYS.items() if key in wanted)
    if not general:
        raise _contradiction("neither confidentiality nor integrity is asked for")
    if not any(key in wanted for key in OPTION_KEYS.values()):
        raise _contradiction("confidentiality or integrity is asked for, and no option says against whom")
    return general


def _only(number: int, found: Mapping[str, str]) -> frozenset[Aspect] | None:
    value = found.get(ONLY_KEYS[number])
    if value is None:
        return None
    if value not in ONLY:
        raise MetadataRefusedError(
            MetadataReason.UNKNOWN_VALUE,
            f"{ONLY_KEYS[number]} is {value!r}",
            why=f"the values are {', '.join(ONLY)}",
            remedy=nearest(value, ONLY) or "choose one of them, or remove the key for both",
        )
    return frozenset({ONLY[value]})


def _contradiction(what: str) -> MetadataRefusedError:
    return MetadataRefusedError(
        MetadataReason.CONTRADICTION,
        what,
        why="the metadata contradict themselves, and which part is meant is not guessed",
        remedy="change or remove one of the keys",
    )


def _written(value: bool) -> str:
    return "true" if value else "false"
