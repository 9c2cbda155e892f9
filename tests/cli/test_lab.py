"""`sodbench lab up --vars` refuses an archive that is not the one named, before a machine is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import InputFileError

CONTENT = b"an archive"
SUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def wrong_sum(archive: Path) -> None:
    archive.write_bytes(b"another archive")


def gone(archive: Path) -> None:
    archive.unlink()


@pytest.mark.parametrize(
    ("done", "named"),
    [
        (wrong_sum, ("lab.yml:1", "another SHA-256", f"expected {SUM}, found sha256:")),
        (gone, ("lab.yml:1", "kit.tar.gz", "No such file or directory")),
    ],
)
def test_an_archive_that_is_not_the_one_named_is_refused(
    tmp_path: Path, done: Callable[[Path], None], named: tuple[str, ...]
) -> None:
    archive, path = tmp_path / "kit.tar.gz", tmp_path / "lab.yml"
    archive.write_bytes(CONTENT)
    path.write_text(f'sodbench_mstone_archive: {{source: kit.tar.gz, checksum: "{SUM}"}}\n')
    done(archive)
    result = CliRunner().invoke(app, ["lab", "up", "--vars", str(path)], standalone_mode=False)
    error = result.exception
    assert isinstance(error, InputFileError), result.output
    assert error.exit_code == 3
    assert all(part in str(error) for part in named), str(error)
