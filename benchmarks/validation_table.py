"""The measured cost of policy validation as docs/policy.md shows it: one table, and where it was made."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

BEGIN = "<!-- python -m benchmarks.validation --table -->\n"
"""Stands right above what is put into the page; an empty line ends each part of it."""
END = "<!-- end -->"
_WIDTH = 120
_TIMES = (
    ("choice_us", "how many are eligible, and the best ten"),
    ("validation_us", "the same, and why the others are refused"),
    ("loop_us", "a plain filter loop: how many are eligible"),
    ("beside_loop_us", "the whole answer in turns with the loop"),
    ("update_us", "one changed server"),
    ("whole_ranking_us", "the whole ranked list of an undemanding request"),
)
_GROWTH = ("choice", "validation", "loop", "", "update", "whole_ranking")
"""The names of the growth exponents of these times; the whole answer in turns has none."""


def text(found: Mapping[str, Any]) -> str:
    """The stored measurement in Markdown."""
    return "\n".join(_lines(found))


def put(found: Mapping[str, Any], page: Path) -> None:
    """Put the measurement where the page has the last one.

    Raises:
        ValueError: The page has no place for it.
    """
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{page}: no {BEGIN.strip()} with {END} below it")
    page.write_text(f"{before}{BEGIN}{text(found)}\n{END}{after}", encoding="utf-8")


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    sizes = found["sizes"]
    few, many = sizes[0], sizes[-1]
    heads = [f"{one['servers']:,} servers" for one in (few, many)]
    yield f"| what | {heads[0]} | {heads[1]} | grows as n to the |"
    yield "|---|---|---|---|"
    for (key, what), grows in zip(_TIMES, _GROWTH, strict=True):
        exponent = f"{found['growth_exponents'][grows]:.2f}" if grows else ""
        yield f"| {what} | {_span(few[key])} | {_span(many[key])} | {exponent} |".replace("  |", " |")
    ratios = [_ratio(one["ratio_loop_to_validation"]) for one in (few, many)]
    yield f"| the loop over the whole answer, in turns | {ratios[0]} | {ratios[1]} | |"
    worst = found["every_server_different"]
    yield f"| each server with withdrawn cells of its own: the best ten | | {_span(worst['choice_us'])} | |"
    yield f"| the same, and why the others are refused | | {_span(worst['validation_us'])} | |"
    yield ""
    fleets = ", ".join(f"{one['servers']:,}" for one in sizes[:-1])
    yield textwrap.fill(
        f"Servers of {few['shelves']} and {many['shelves']} kinds; {worst['shelves']:,} kinds where each has "
        "withdrawn cells of its own. Growth: least squares of the logarithms over fleets of "
        f"{fleets} and {many['servers']:,}.",
        _WIDTH,
    )
    yield ""
    yield _made(found["environment"])


def _made(where: Mapping[str, Any]) -> str:
    load = f"load {where['load_1min_before']:.1f} before and {where['load_1min_after']:.1f} after"
    commit = where.get("commit")
    at = "a commit that was not recorded" if commit is None else f"commit {commit[:12]}"
    if where.get("changed"):
        at = f"{at} with local changes"
    said = f"{where['cpu']}, {where['cores']} cores, {load}; Linux {where['kernel']}; {at}."
    return textwrap.fill(said, _WIDTH)


def _span(one: Mapping[str, Any]) -> str:
    """Such as ``18.0 µs (17.5 to 18.5, n = 700)``."""
    scale, unit, digits = _unit(one["median"])
    low, middle, high = (
        f"{one[key] / scale:.{digits}f}" for key in ("interval_low", "median", "interval_high")
    )
    return f"{middle} {unit} ({low} to {high}, n = {one['n']})"


def _unit(time_us: float) -> tuple[float, str, int]:
    """By what to divide, the unit, and how many digits follow the point: three digits in all."""
    units = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"))
    scale, unit = next((one for one in units if time_us >= one[0]), units[-1])
    shown = time_us / scale
    return scale, unit, 2 if shown < 10 else 1 if shown < 100 else 0


def _ratio(one: Mapping[str, Any]) -> str:
    digits = 0 if one["value"] >= 10 else 2
    low, middle, high = (f"{one[key]:.{digits}f}" for key in ("interval_low", "value", "interval_high"))
    return f"{middle} ({low} to {high})"
