"""Names of Faban's operations: each becomes a Java method of a class that Faban writes and compiles.

A name of ours may be any text: a keyword (``static``), the name of a method that every Java class has
(``wait``), a word with a hyphen or a ``$``, which Faban's own text replacement takes for a group. Hence every
operation has a prefix, by which it can be none of these, and what is no letter or digit of ASCII is spelled
out: ``_`` as ``__``, another character as ``_xHEX_``. No two names have one operation (The Java Language
Specification, sections 3.8 and 3.9).
"""

from __future__ import annotations

import re

_PREFIX = "op_"
_PLAIN = re.compile(r"[A-Za-z0-9]", re.ASCII)
_SPELLED = re.compile(r"__|_x(?P<hex>[0-9a-f]{1,6})_", re.ASCII)
_WHOLE = re.compile(r"op_(?:[A-Za-z0-9]|__|_x[0-9a-f]{1,6}_)*", re.ASCII)
_WITHIN = re.compile(r"\bop_\w*", re.ASCII)


def operation(name: str) -> str:
    """The Java identifier that stands for the target called `name`."""
    return _PREFIX + "".join(map(_spelled, name))


def target(operation: str) -> str:
    """The name of the target that `operation` stands for; another text is returned as it is."""
    if _WHOLE.fullmatch(operation) is None:
        return operation
    try:
        return _SPELLED.sub(_character, operation.removeprefix(_PREFIX))
    except ValueError:  # a number beyond Unicode's last
        return operation


def with_targets(text: str) -> str:
    """`text`, such as a message of Faban's, with targets' names in place of operations."""
    return _WITHIN.sub(lambda found: target(found[0]), text)


def _spelled(character: str) -> str:
    if _PLAIN.match(character):
        return character
    return "__" if character == "_" else f"_x{ord(character):x}_"


def _character(found: re.Match[str]) -> str:
    return chr(int(found["hex"], 16)) if found["hex"] else "_"
