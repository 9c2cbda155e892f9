"""What a report says first: its question, what was run on what, and the one table that answers.

A run with variants asks what they change, one with responses how soon a guest is safe, one that attests what
that takes; any other, what a migration costs. What a migration cost is a section of its own where it is not
the first question.
"""

from __future__ import annotations

from harness.report import comparison
from harness.report.attestation import front as attestation
from harness.report.document.model import Block, Callout, Section
from harness.report.material import Material
from harness.report.migration import answers
from harness.report.migration import front as migration
from harness.report.response import front as response

QUESTION = "What does it cost to move a running virtual machine to safety?"


def sections(material: Material) -> list[Section]:
    """The first section, and what a migration cost where that was not the question."""
    question, table = _answer(material)
    costs = [*_migrations(material), *answers.sentences(material)]
    first = [*answers.about(material), *table, *([] if table else costs)]
    found = [Section(key="answer", title=question or QUESTION, blocks=first, label="The answer")]
    if table and len(material.valid):
        found.append(
            Section(key="migration", title="What a migration cost", blocks=costs, label="Migrations")
        )
    return found


def _answer(material: Material) -> tuple[str, list[Block]]:
    """The question that is not the usual one and its answer; empty where it is the usual one."""
    if material.comparisons:
        return comparison.QUESTION, [comparison.overview(material)]
    if len(material.responses):
        return response.QUESTION, [response.table(material)]
    if len(material.attestations) and (blocks := attestation.blocks(material)):
        return attestation.QUESTION, blocks
    return "", []


def _migrations(material: Material) -> list[Block]:
    taken = answers.together(material)
    said: list[Block] = [Callout(tone="note", text=taken)] if taken else []
    return [*said, migration.table(material)] if len(material.valid) else said
