"""A factory is made once; each test has a copy of it and of its log."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

from harness.pvi.factory import factory as factories
from harness.pvi.factory import locked_key
from tests.pvi.factory.places import CHEAP, HERE, NOW_NS, PASSPHRASE, Log, Place


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A factory as it was made."""
    place = Place(tmp_path_factory.mktemp("made") / "pvi", Log())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locked_key, "COST", CHEAP)
        factories.make(place.folder, "shop", PASSPHRASE, HERE, place.log, NOW_NS)
    return place


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    """A factory of the test's own."""
    shutil.copytree(made.folder, tmp_path / "pvi")
    return Place(tmp_path / "pvi", copy.deepcopy(made.log))
