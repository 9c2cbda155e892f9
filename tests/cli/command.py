"""`sodbench` run in this process the way its entry point runs it, and what it said."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.registry.registry import Registry

LIFE_S = 3600
"""How long the stored verdicts of the fixture `rack` count."""


@dataclass(frozen=True)
class Said:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> list[str]:
        """The output's words."""
        return self.out.split()

    @property
    def value(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)

    def line(self, first: str) -> list[str]:
        """The words of the first line that begins with this word."""
        return next(line.split() for line in self.out.splitlines() if line.split()[:1] == [first])


class Sodbench:
    """The command in a terminal of `columns` columns; a subclass may add words that begin every call."""

    words: tuple[str, ...] = ()

    def __init__(
        self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str], *, columns: int = 200
    ) -> None:
        self._patch = patch
        self._captured = captured
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "dumb")

    def __call__(self, *arguments: str | Path) -> Said:
        self._patch.setattr(sys, "argv", ["sodbench", *self.words, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = self._captured.readouterr()
        assert isinstance(end.value.code, int)
        return Said(end.value.code, out, err)


class Policy(Sodbench):
    """`sodbench policy` with a registry of its own."""

    words = ("policy",)

    def __init__(
        self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str], registry: Registry
    ) -> None:
        super().__init__(patch, captured, columns=250)
        self.registry = registry


class Attest(Sodbench):
    """`sodbench attest`."""

    words = ("attest",)

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        super().__init__(patch, captured, columns=250)


class Pvi(Sodbench):
    """`sodbench pvi` with a factory's folder, its passphrase and a registry of the test's own.

    Attributes:
        folder: Where the factory is, or is to be.
    """

    words = ("pvi",)
    folder: Path

    def owner(self, *arguments: str | Path) -> Said:
        """A verb that the factory's owner alone uses."""
        secret = self.folder.with_name("passphrase")
        return self(*arguments, "--folder", self.folder, "--passphrase-file", secret)
