from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.rig.pair import Endpoint
from tests.rig.ssh_server import serving


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where answers about inventories are kept: not in the home of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Endpoint]:
    with serving(tmp_path) as port:
        yield Endpoint(
            role="a",
            address="127.0.0.1",
            user="root",
            port=port,
            key=tmp_path / "key",
            known_hosts=tmp_path / "known_hosts",
        )
