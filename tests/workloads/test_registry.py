from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from harness import plugins
from harness.errors import PrerequisiteError, UsageError
from harness.workloads import available, get


def register(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Pretend that these entry points are installed."""
    found = [EntryPoint(name, value, "sodbench.workloads") for name, value in points.items()]
    monkeypatch.setattr(plugins, "registered", lambda group: [one for one in found if one.group == group])


def test_workloads_come_from_the_entry_points_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, web="pathlib:Path", idle="pathlib:PurePath")
    assert list(available()) == ["idle", "web"]
    assert available()["web"] is Path  # type: ignore[comparison-overlap]
    assert get("web") is Path  # type: ignore[comparison-overlap]


def test_an_unknown_workload_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, idle="pathlib:Path", file="pathlib:Path")
    with pytest.raises(UsageError, match="no workload 'fiel'") as caught:
        get("fiel")
    assert "file, idle" in caught.value.why
    assert "'file'" in caught.value.remedy


@pytest.mark.parametrize("value", ["no_such_package:X", "pathlib:NoSuchName"])
def test_a_broken_registration_is_an_error_not_an_absence(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    register(monkeypatch, idle="pathlib:Path", other=value)
    for call in (available, lambda: get("other")):
        with pytest.raises(PrerequisiteError, match="'other' is registered and cannot be imported") as caught:
            call()
        assert caught.value.where == value
    assert get("idle") is Path  # type: ignore[comparison-overlap]


def test_without_any_registration_get_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    assert available() == {}
    with pytest.raises(UsageError) as caught:
        get("idle")
    assert "none" in caught.value.why
