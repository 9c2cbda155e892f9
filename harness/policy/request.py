"""What a customer asks for: options and packages become a row of the request matrix, or a refusal.

A request that cannot be kept is refused when it is made, never weakened. It states whom the customer does not
trust, and nothing about servers.

Source: Security on Demand, sections III-B (options, Table II), III-E (introspection) and V (cloud manager).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from harness.errors import RecordError, SodbenchError
from harness.json_types import Json
from harness.nearest import nearest
from harness.policy.capability import Capability, Table, near
from harness.policy.packages import PACKAGES
from harness.policy.threats import BOTH, CELLS, OPTIONS, Aspect, Cell

CLOUD_MANAGER_OPTION = 4
HYPERVISOR_OPTION = 2
INTROSPECTED_OPTIONS = (5, 6)
"""Protection from within the VM needs introspection, which needs a trusted hypervisor."""


class RequestReason(StrEnum):
    """Why a request was refused; stable."""

    EMPTY = "empty"
    UNKNOWN_OPTION = "unknown-option"
    UNKNOWN_ASPECT = "unknown-aspect"
    UNKNOWN_PACKAGE = "unknown-package"
    UNKNOWN_ARCHITECTURE = "unknown-architecture"
    NOTHING_REMOVED = "nothing-removed"
    CLOUD_MANAGER_TRUSTED = "cloud-manager-trusted"
    INTROSPECTION_CONFLICT = "introspection-conflict"


class RequestRefusedError(SodbenchError):
    """A request for protection that cannot be kept, or that says nothing; none was stored."""

    exit_code: ClassVar[int] = 17
    kind: ClassVar[str] = "request-refused"

    def __init__(self, reason: RequestReason, what: str, *, why: str = "", remedy: str = "") -> None:
        super().__init__(what, where=reason.value, why=why, remedy=remedy)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The protection of one VM. Made by :func:`request` or :meth:`from_json`, which refuse what cannot be.

    Attributes:
        options: The options with the aspects asked for, packages expanded.
        packages: The packages that were named, for the record.
        accept_removed: Architectures whose `removed` cells the customer takes for protection.
        cells: The cells in which protection is asked for; they follow from the options.
    """

    options: Mapping[int, frozenset[Aspect]]
    packages: tuple[str, ...] = ()
    accept_removed: frozenset[str] = frozenset()
    cells: frozenset[Cell] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        asked = {Cell(OPTIONS[number], one) for number, aspects in self.options.items() for one in aspects}
        object.__setattr__(self, "cells", frozenset(asked))  # it is frozen for all other code

    def matrix(self) -> Mapping[Cell, bool]:
        """The VM's row of Table II."""
        return {cell: cell in self.cells for cell in CELLS}

    def texts(self) -> tuple[str, ...]:
        """The options as they are written, such as ``1`` for both aspects and ``2:c`` for one."""
        return tuple(
            str(number) if aspects == BOTH else f"{number}:{_letters(aspects)}"
            for number, aspects in sorted(self.options.items())
        )

    def to_json(self) -> dict[str, Json]:
        """The request as JSON values; :meth:`from_json` reads it back equal."""
        return {
            "options": {str(number): _letters(aspects) for number, aspects in sorted(self.options.items())},
            "packages": list(self.packages),
            "accept_removed": sorted(self.accept_removed),
        }

    @classmethod
    def from_json(cls, value: Json) -> Request:
        """The request that :meth:`to_json` wrote. Packages are a record by now and not looked up again.

        Raises:
            RecordError: It is not of that form.
            RequestRefusedError: It is, and asks for what cannot be kept.
        """
        if not isinstance(value, Mapping) or set(value) != {"options", "packages", "accept_removed"}:
            raise _damaged("it has other keys than options, packages and accept_removed")
        options, packages = value["options"], _texts(value["packages"])
        accepted = _texts(value["accept_removed"])
        if not isinstance(options, Mapping) or packages is None or accepted is None:
            raise _damaged("its values are of another kind")
        if not all(isinstance(letters, str) and number.isascii() for number, letters in options.items()):
            raise _damaged("an option is of another kind")
        asked = _union(_option(f"{number}:{letters}") for number, letters in options.items())
        return cls(options=_kept(asked), packages=packages, accept_removed=frozenset(accepted))


def request(
    options: Sequence[str] = (),
    packages: Sequence[str] = (),
    accept_removed: Sequence[str] = (),
    *,
    table: Table | None = None,
) -> Request:
    """The request made of everything that is named.

    Args:
        options: Numbers from 1 to 7, alone for both aspects or followed by ``:c``, ``:i`` or ``:ci``. What is
            named twice is asked for with the aspects of both.
        packages: Names of packages.
        accept_removed: Names of architectures whose `removed` cells are accepted.
        table: The known architectures. Without it `accept_removed` is not looked up; an unknown name
            accepts nothing.

    Raises:
        RequestRefusedError: Nothing is asked for; something named is not known; or what is asked for cannot
            be kept: see :class:`RequestReason`.
    """
    names = tuple(dict.fromkeys(packages))
    spelt = [text for name in names for text in _package(name)]
    asked = _union(_option(text) for text in (*options, *spelt))
    for name in accept_removed if table is not None else ():
        _check_accepted(name, table or {})
    return Request(options=_kept(asked), packages=names, accept_removed=frozenset(accept_removed))


def _package(name: str) -> tuple[str, ...]:
    if name not in PACKAGES:
        raise RequestRefusedError(
            RequestReason.UNKNOWN_PACKAGE,
            f"there is no package {name!r}",
            why=f"packages: {', '.join(PACKAGES)}",
            remedy=nearest(name, PACKAGES) or "name one of them",
        )
    return PACKAGES[name].options


def _option(text: str) -> tuple[int, frozenset[Aspect]]:
    number, colon, letters = text.partition(":")
    known = {str(one): one for one in OPTIONS}
    if number not in known:
        raise RequestRefusedError(
            RequestReason.UNKNOWN_OPTION,
            f"there is no option {number!r}",
            why="options: " + ", ".join(f"{one} {entity.value}" for one, entity in OPTIONS.items()),
            remedy="such as 1, 2:c (confidentiality alone) or 5:i (integrity alone)",
        )
    aspects = BOTH if not colon else _aspects(letters)
    if not aspects:
        raise RequestRefusedError(
            RequestReason.UNKNOWN_ASPECT,
            f"option {number} cannot be had with {letters!r}",
            remedy=f"{number}:c for confidentiality, {number}:i for integrity, {number} for both",
        )
    return known[number], aspects


def _aspects(letters: str) -> frozenset[Aspect]:
    """The aspects of such as ``ci``; none where the text is another."""
    if len(set(letters)) != len(letters) or not set(letters) <= {"c", "i"}:
        return frozenset()
    return frozenset(Aspect(letter) for letter in letters)


def _union(named: Iterable[tuple[int, frozenset[Aspect]]]) -> dict[int, frozenset[Aspect]]:
    found: dict[int, frozenset[Aspect]] = {}
    for number, aspects in named:
        found[number] = found.get(number, frozenset()) | aspects
    return found


def _kept(asked: Mapping[int, frozenset[Aspect]]) -> Mapping[int, frozenset[Aspect]]:
    """`asked` in the order of its numbers, where it can be kept."""
    if not asked:
        raise RequestRefusedError(
            RequestReason.EMPTY,
            "no protection is asked for",
            why="a request without options would be satisfied by every server, even one that is not trusted",
            remedy="name an option or a package; option 1 is the basic one",
        )
    if CLOUD_MANAGER_OPTION in asked:
        raise RequestRefusedError(
            RequestReason.CLOUD_MANAGER_TRUSTED,
            "option 4, protection from the cloud manager, is not supported",
            why="the cloud manager itself places the VM and must be trusted (Security on Demand, section V)",
            remedy="leave option 4 out",
        )
    within = [number for number in INTROSPECTED_OPTIONS if number in asked]
    if HYPERVISOR_OPTION in asked and within:
        raise RequestRefusedError(
            RequestReason.INTROSPECTION_CONFLICT,
            f"option 2 cannot be had together with {' and '.join(map(str, within))}",
            why="protection from within the VM takes introspection by a hypervisor that is trusted, and "
            "option 2 says that it is not (Security on Demand, section III-E)",
            remedy="leave out option 2, or the others and the packages that hold them",
        )
    return MappingProxyType(dict(sorted(asked.items())))


def _check_accepted(name: str, table: Table) -> None:
    if name not in table:
        raise RequestRefusedError(
            RequestReason.UNKNOWN_ARCHITECTURE,
            f"there is no architecture {name!r} whose removed cells could be accepted",
            why=f"architectures: {', '.join(table)}",
            remedy=near(name, table) or "name one of them",
        )
    if not table[name].having(Capability.REMOVED):
        removing = [one.name for one in table.values() if one.having(Capability.REMOVED)]
        raise RequestRefusedError(
            RequestReason.NOTHING_REMOVED,
            f"{name} removes nothing at run time that could be accepted",
            why=f"architectures that do: {', '.join(removing) or 'none'}",
            remedy="leave it out",
        )


def _letters(aspects: frozenset[Aspect]) -> str:
    return "".join(sorted(aspects))


def _texts(value: Json) -> tuple[str, ...] | None:
    """The texts of a JSON list; None where it is another thing."""
    if not isinstance(value, list):
        return None
    texts = tuple(one for one in value if isinstance(one, str))
    return texts if len(texts) == len(value) else None


def _damaged(why: str) -> RecordError:
    return RecordError("a stored request is damaged", why=why)
