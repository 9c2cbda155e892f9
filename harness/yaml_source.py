"""YAML as plain data that still knows its lines, so that every refusal can name file and line.

Only what a configuration needs is read: mappings, lists and scalars of YAML 1.2's core schema (chapter 10.3),
in which ``1_000``, ``0b11`` and ``yes`` are texts. Anchors, aliases, tags and directives are refused, because
they hide what a file says (and can grow without bound). Nothing here knows what the keys mean, and nothing is
ever constructed but plain values.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scanner import Scanner, ScannerError
from ruamel.yaml.tag import Tag

from harness.errors import InputFileError

KeyPath: TypeAlias = tuple[str | int, ...]
Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

MAX_CHARS = 1_000_000
"""No campaign or inventory comes near; a disk image given by mistake does."""
MAX_DEPTH = 50
_MOST_OPEN = 3 * MAX_DEPTH
"""So many brackets may be open before the rest of a file is not even looked at; up to here a refusal can name
the key."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MOST_DIGITS = 100
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_TAG = "tag:yaml.org,2002:"
_CORE = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
"""What a plain scalar is in the core schema: the first form that fits; a text where none does."""


class _CoreSchema(VersionedResolver):
    """Resolves scalars as YAML 1.2 does; the library's own forms still let in numbers of YAML 1.1."""

    def resolve(self, kind: type[Node], value: str, implicit: tuple[bool, bool]) -> object:
        """The tag of a node that has none written."""
        if kind is ScalarNode and implicit[0]:
            found = (name for name, form in _CORE.items() if form.fullmatch(value))
            return Tag(suffix=f"{_TAG}{next(found, 'str')}")
        return super().resolve(kind, value, (False, True))


class _ShallowScanner(Scanner):
    """Refuses a file at the first bracket too many.

    The library reads a thousand characters ahead for a colon and looks at all open brackets after each of
    them, which takes seconds in a file that holds nothing else.
    """

    def fetch_flow_collection_start(self, TokenClass: type, to_push: str) -> None:  # noqa: N803 - the library's
        """One more bracket."""
        if self.flow_level >= _MOST_OPEN:
            raise ScannerError(None, None, f"nested more than {MAX_DEPTH} deep", self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        line: Line from 1.
        path: The offending key's path, such as ``schedule.points_s[1]``; empty for the file as a whole.
        text: What is wrong.
        allowed: What would be right; empty when the text says it.
        hint: The nearest match or another remedy; empty when there is none.
    """

    line: int
    path: str
    text: str
    allowed: str = ""
    hint: str = ""

    def __str__(self) -> str:
        """One line: path, text, what is allowed, hint."""
        parts = [f"{self.path}: {self.text}" if self.path else self.text]
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.hint:
            parts.append(self.hint)
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file's content: its mapping, the line of every key and item, and what is wrong with its form."""

    data: Mapping[str, Plain]
    lines: Mapping[KeyPath, int]
    problems: tuple[Problem, ...]

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def dotted(path: KeyPath) -> str:
    """The path as people write it: ``workloads[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_text(path: Path, most_chars: int = MAX_CHARS) -> str:
    """The text stored at `path`.

    Raises:
        InputFileError: The file is missing, unreadable, not UTF-8 or far too large.
    """
    return decoded(read_bytes(path, most_chars), str(path))


def read_bytes(path: Path, most_chars: int = MAX_CHARS) -> bytes:
    """What is stored at `path`, undecoded, for those who keep a copy. Errors as of :func:`read_text`."""
    most = 4 * most_chars  # a character has at most 4 bytes
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise InputFileError(
            "the file cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            remedy="check the path, and whether you may read it",
        ) from error
    if len(raw) > most:
        raise InputFileError(
            "far too large for a file that is written by hand",
            where=str(path),
            why=f"it has more than {most} bytes",
            remedy="check the path",
        )
    return raw


def decoded(raw: bytes, where: str) -> str:
    """The text in `raw`, which has to be UTF-8; `where` is the file's name in messages.

    Raises:
        InputFileError: It is not.
    """
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or (len(raw) > 3 and b"\0" in raw[:2]):
        raise InputFileError(
            "the file is in UTF-16, or no text at all", where=where, remedy="name a text file, saved as UTF-8"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise InputFileError(
            "not a text file in UTF-8",
            where=f"{where}:{line}",
            why=f"byte {column} of the line is {raw[error.start]:#04x}, as in Latin-1 and other encodings",
            remedy="save it as UTF-8",
        ) from error


def parse(text: str, most_chars: int = MAX_CHARS) -> Source:
    """The mapping in `text` with its lines; everything wrong with its form is in `problems`, never raised."""
    problem = _unreadable(text, most_chars)
    if problem is not None:
        return Source(data={}, lines={}, problems=(problem,))
    try:
        root = _loader().compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        syntax = Problem(line=mark.line + 1 if mark else 1, path="", text=f"not YAML: {what}")
        return Source(data={}, lines={}, problems=(syntax,))
    except (YAMLError, ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0] or type(error).__name__
        return Source(data={}, lines={}, problems=(Problem(line=1, path="", text=f"not YAML: {first}"),))
    if root is None:
        empty = Problem(line=1, path="", text="the file is empty", allowed="a mapping of keys to values")
        return Source(data={}, lines={}, problems=(empty,))
    return _Reader().read(root)


def _loader() -> YAML:
    loader = YAML(typ="safe", pure=True)
    loader.Resolver = _CoreSchema
    loader.Scanner = _ShallowScanner
    return loader


def _unreadable(text: str, most_chars: int) -> Problem | None:
    """Content that is no text at all: said plainly before a parser stumbles over it."""
    if len(text) > most_chars:
        return Problem(line=1, path="", text=f"more than {most_chars} characters", allowed="a file of keys")
    control = _CONTROL.search(text)
    if control is not None:
        line = text.count("\n", 0, control.start()) + 1
        return Problem(line=line, path="", text=f"not a text file: it contains the character {control[0]!r}")
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        line = text.count("\n", 0, directive.start()) + 1
        return Problem(line=line, path="", text="not YAML: directives (%) are not read")
    return None


class _Reader:
    """One walk over a document's nodes; collects lines and problems on the way."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self.seen: set[int] = set()

    def read(self, root: Node) -> Source:
        self.lines[()] = root.start_mark.line + 1
        if isinstance(root, MappingNode):
            data = self.mapping(root, ())
        else:
            data = {}
            self.refuse(
                root, (), "the file does not hold a mapping", "keys with values, such as `name: demo`"
            )
        return Source(data=data, lines=self.lines, problems=tuple(self.problems))

    def refuse(self, node: Node, path: KeyPath, text: str, allowed: str = "") -> None:
        line = node.start_mark.line + 1
        self.problems.append(Problem(line=line, path=dotted(path), text=text, allowed=allowed))

    def value(self, node: Node, path: KeyPath) -> Plain:
        if id(node) in self.seen or node.anchor is not None:
            self.refuse(
                node, path, "anchors and aliases (&, *) are not read", "the value itself, written out"
            )
            return None
        self.seen.add(id(node))
        if len(path) > MAX_DEPTH:
            self.refuse(node, path[:3], f"nested more than {MAX_DEPTH} deep")
            return None
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return self.sequence(node, path)
        return self.scalar(node, path)

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Plain]:
        self.standard_tag(node, path, ("map",))
        data: dict[str, Plain] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.refuse(key, path, "a key is not a plain word")
                continue
            if key.anchor is not None:
                self.refuse(
                    key, path, "anchors and aliases (&, *) are not read", "the key itself, written out"
                )
                continue
            if not self.is_text(key, path):
                continue
            inner = (*path, str(key.value))
            if key.value in data:
                text = f"the key is there twice, first in line {self.lines[inner]}"
                self.refuse(key, inner, text, "each key once")
                continue
            self.lines[inner] = key.start_mark.line + 1
            data[str(key.value)] = self.value(value, inner)
        return data

    def sequence(self, node: SequenceNode, path: KeyPath) -> list[Plain]:
        self.standard_tag(node, path, ("seq",))
        items: list[Plain] = []
        for index, item in enumerate(node.value):
            self.lines[(*path, index)] = item.start_mark.line + 1
            items.append(self.value(item, (*path, index)))
        return items

    def scalar(self, node: Node, path: KeyPath) -> Plain:
        text = str(node.value)
        if not self.is_text(node, path) or not self.standard_tag(
            node, path, ("null", "bool", "int", "float", "str")
        ):
            return None
        try:
            return _plain(str(node.tag).removeprefix(_TAG), text)
        except ValueError:
            self.refuse(node, path, f"{text[:40]!r} is not the number it looks like")
            return None

    def is_text(self, node: Node, path: KeyPath) -> bool:
        """An escape may name half of a character (a surrogate), which no file and no terminal can hold."""
        half = _SURROGATE.search(str(node.value))
        if half is not None:
            self.refuse(
                node, path, f"\\u{ord(half[0]):04x} is no character", "whole characters, such as \\U0001f600"
            )
        return half is None

    def standard_tag(self, node: Node, path: KeyPath, kinds: tuple[str, ...]) -> bool:
        tag = str(node.tag)
        if tag.removeprefix(_TAG) in kinds and node.ctag.handle is None:
            return True
        self.refuse(node, path, f"the tag {tag} is not read", "plain values without a tag")
        return False


def _plain(kind: str, text: str) -> Plain:
    """A scalar's value by the type that the core schema gives it.

    Raises:
        ValueError: The text does not fit its tag, or the number is too long to be one.
    """
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return _integer(text)
    if kind == "float":
        special = text.lower().lstrip("+-")
        if special in {".inf", ".nan"}:
            return float(text.replace(".", "", 1))
        return float(text)
    return text


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError("a number of so many digits")  # later it could not even be shown in a message
    digits = text.lower().lstrip("+-")
    base = {"0x": 16, "0o": 8}.get(digits[:2], 10)
    return int(text, base)
