"""A tool's complaints, bounded: a tool that says one thing 20,000 times fills no journal and no report.

A load generator decides how much it prints, so every quotation of it is bounded here, once for all workloads.
Nothing is lost: the attempt's ``workload.log`` has every line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

KEPT = 8
"""So many different problems are kept of one output; further ones are counted. An attempt may have reasons of
other kinds as well (:mod:`harness.evidence.verdict`), which must not push that count out."""

LENGTH = 400
"""A longer text is cut and ends with an ellipsis; characters. A test of steadiness fits."""


def bounded(said: Iterable[str], kept: int = KEPT) -> tuple[str, ...]:
    """Each text once and with how often it was said, in order of appearance, at most `kept` of them.

    Where there are more, the last one says how many were left out. What was bounded once stays as it is.

    Args:
        said: The problems, in any number and of any length.
        kept: How many texts are returned at most, at least 2.
    """
    counts = Counter(text if len(text) <= LENGTH else f"{text[: LENGTH - 1]}…" for text in said)
    texts = [text if times == 1 else f"{text} ({times} times)" for text, times in counts.items()]
    if len(texts) <= kept:
        return tuple(texts)
    left_out = list(counts.values())[kept - 1 :]
    kinds = "" if sum(left_out) == len(left_out) else f", {len(left_out)} of them different"
    return (*texts[: kept - 1], f"and {sum(left_out)} more{kinds}")
