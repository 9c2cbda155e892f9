"""JSON as a source of keys and values, for files that a program writes and that may be large.

JSON is YAML as well (YAML 1.2, chapter 1.2), and is read some hundred times faster than YAML with its lines.
A line is only looked for where something is wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness import yaml_source
from harness.yaml_source import KeyPath, Plain, Problem, Source, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSource(Source):
    """A source that finds lines in its text when it is asked for them."""

    text: str

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest thing around it that is in the file."""
        place = 0
        for part in path:
            found = self.text.find(f"{json.dumps(part)}:", place) if isinstance(part, str) else -1
            place = max(place, found)
        return self.text.count("\n", 0, place) + 1


class _TwiceError(ValueError):
    """A key that is there twice, of which JSON's reader would keep the last."""


def parse(text: str, most_yaml_chars: int) -> Source:
    """The mapping in `text`, which is JSON or other YAML; the latter may have `most_yaml_chars` characters.

    Everything wrong with its form is in the source's `problems`, never raised.
    """
    found = _json(text)
    if found is not None:
        return found
    if len(text) <= most_yaml_chars:
        return yaml_source.parse(text, most_yaml_chars)
    allowed = f"JSON without a mistake in its form, or other YAML of at most {most_yaml_chars} characters"
    problem = Problem(line=1, path="", text=f"{len(text)} characters that are not JSON", allowed=allowed)
    return Source(data={}, lines={}, problems=(problem,))


def _json(text: str) -> Source | None:
    """The object in `text`; None where it is not JSON."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except _TwiceError as twice:
        key = str(twice)
        written = f"{json.dumps(key)}:"
        line = text.count("\n", 0, text.find(written, text.find(written) + 1)) + 1
        problem = Problem(
            line=line, path=dotted((key,)), text="the key is there twice", allowed="each key once"
        )
        return JsonSource(text=text, data={}, lines={}, problems=(problem,))
    except (ValueError, RecursionError):
        return None
    return JsonSource(text=text, data=data, lines={}, problems=())


def _once(pairs: list[tuple[str, Plain]]) -> dict[str, Plain]:
    found: dict[str, Plain] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
