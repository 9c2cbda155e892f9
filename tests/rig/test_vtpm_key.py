"""The key of the guests' TPMs: made once, the user's alone, and what each secret follows from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.rig.guest import vtpm


def test_of_several_at_once_one_key_is_made_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "vtpm.key"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _n: vtpm.key(path), range(8)))
    assert made == {vtpm.key(path)}
    assert len(vtpm.key(path)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["vtpm.key"]


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "vtpm.key"
    vtpm.key(path)
    path.chmod(0o640)
    with pytest.raises(PrerequisiteError, match="the key of the guests' TPMs is readable by others"):
        vtpm.key(path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33], ids=len)
def test_a_file_of_something_else_is_neither_used_nor_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vtpm.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(PrerequisiteError, match=f"{len(content)} bytes"):
        vtpm.key(path)
    assert path.read_bytes() == content


def test_each_guest_has_a_secret_of_its_own() -> None:
    assert vtpm.passphrase(b"k" * 32, "one") != vtpm.passphrase(b"k" * 32, "two")
    assert vtpm.passphrase(b"k" * 32, "one") != vtpm.passphrase(b"l" * 32, "one")
