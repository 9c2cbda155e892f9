from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.rig.pair import Endpoint
from tests.rig.ssh_server import serving


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
