"""One synthetic run and its report, built once for the tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import report
from harness.evidence.folder import RunFolder
from harness.report import Report, compose, material
from harness.report.document.model import Document
from harness.report.material import Material
from tests.report import page
from tests.report.page import Element
from tests.synthetic.evidence import build
from tests.synthetic.load import readable
from tests.synthetic.seven import seven as truths_of_seven

RUN = "20260921T141320Z-ab12cd"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The demo: idle and file, five migrations each."""
    return build(tmp_path_factory.mktemp("results") / "demo" / RUN)


@pytest.fixture(scope="session")
def demo(run: RunFolder) -> Material:
    return material.read(run)


@pytest.fixture(scope="session")
def shown(demo: Material) -> Document:
    """The demo's document, with its figures for every format."""
    return compose.document(demo, pdf=True)


@pytest.fixture(scope="session")
def made(run: RunFolder, shown: Document, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The demo's report, of the document that is drawn already; test_build.py draws it once more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "document", lambda _material, *, pdf: shown if pdf else None)
        return report.build(run, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def html(made: Report) -> Element:
    """The demo's HTML as a tree."""
    return page.read(made.documents[0].read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The paper's seven workloads, two repetitions, each with a control trial in the first."""
    folder = tmp_path_factory.mktemp("results") / "paper" / RUN
    truths = truths_of_seven(repetitions=2, control=1, window_s=60.0, points=3, heartbeat_hz=100.0)
    with pytest.MonkeyPatch.context() as patch:
        readable(patch)
        return material.read(build(folder, truths))


@pytest.fixture(scope="session")
def whole(seven: Material) -> Document:
    return compose.document(seven)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "report"
