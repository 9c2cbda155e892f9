"""Verbs that are imported when they run, so that ``sodbench --help`` answers at once.

A group knows the name of each verb, the first paragraph of its help, and its place. The verb's module is
imported when the verb runs or explains itself, or when a shell completes its options; that module has its
imports at its top, as any other has.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from harness.errors import UsageError

if TYPE_CHECKING:
    from typer._click.core import Context


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb, or a group of verbs, that is not imported yet.

    Args:
        name: As a user types it.
        place: The function or the :class:`typer.Typer`, as ``module:name``.
        help: The first paragraph of its own help, on one line.
        panel: The heading in its group's help.
    """

    name: str
    place: str
    help: str
    panel: str = "Commands"

    def command(self) -> TyperCommand | TyperGroup:
        """Import the verb."""
        module, _, name = self.place.partition(":")
        verb = getattr(importlib.import_module(module), name)
        if isinstance(verb, typer.Typer):
            _reflow(verb)
            return get_group(verb)
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        alone.command(self.name)(verb)
        _reflow(alone)
        return cast(TyperCommand, get_command(alone))


class Lazy(TyperCommand):
    """Stands for a verb in its group, and hands over to it when it is used."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.name, help=verb.help, rich_markup_mode="rich", rich_help_panel=verb.panel)
        self.verb = verb

    def make_context(
        self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: object
    ) -> Context:
        """The context of the verb itself: that is what then runs, explains itself or completes."""
        return self.verb.command().make_context(info_name, args, parent, **extra)


class Verbs(TyperGroup):
    """A group of lazy verbs: a subclass names them, and is the ``cls`` of a :class:`typer.Typer`."""

    verbs: ClassVar[Sequence[Verb]] = ()

    def __init__(self, **settings: object) -> None:
        given = {**settings, "commands": {verb.name: Lazy(verb) for verb in self.verbs}}
        super().__init__(**given)  # type: ignore[arg-type]


class Root(Verbs):
    """The program itself. Its help is plain text: to import what draws boxes would take longest."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """As any group, but without a verb the help is printed, and it is wrong usage."""
        if args or ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        try:
            return super().parse_args(ctx, ["--help"])
        except typer.Exit:
            raise typer.Exit(UsageError.exit_code) from None

    def get_help(self, ctx: Context) -> str:
        """Usage, what the program does, its options, the verbs by heading, the epilog's paragraphs."""
        formatter = ctx.make_formatter()
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        with formatter.section("Options"):
            records = [param.get_help_record(ctx) for param in self.get_params(ctx)]
            formatter.write_dl([record for record in records if record is not None])
        for panel, below in groupby(self.verbs, lambda verb: verb.panel):
            with formatter.section(panel):
                formatter.write_dl([(verb.name, verb.help) for verb in below])
        for paragraph in (self.epilog or "").split("\n\n"):
            formatter.write_paragraph()
            formatter.write_text(paragraph)
        return formatter.getvalue().rstrip("\n")


def paragraphs(text: str) -> str:
    """Each paragraph on one line: help is wrapped to the terminal, and keeps line ends inside a paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def _reflow(verbs: typer.Typer) -> None:
    """Have every verb's help wrapped to the terminal, not at the ends of its docstring's lines."""
    for command in verbs.registered_commands:
        if command.help is None and command.callback is not None:
            command.help = paragraphs(inspect.getdoc(command.callback) or "")
