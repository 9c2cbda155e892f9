"""Reports: a stored run as HTML, Markdown and LaTeX, from one document.

Everything here reads results and writes documents; it imports neither the rig nor libvirt, and the same
results give the same bytes on any day. Only the signature differs (:mod:`harness.report.signed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.evidence.folder import RunFolder
from harness.files import write_atomic
from harness.report import compose, material, signed
from harness.report.document import render
from harness.report.document.model import Document
from harness.report.document.render import FORMATS

__all__ = ["FORMATS", "Report", "build", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Where a report lies.

    Attributes:
        documents: One path a format asked for, in that order.
        figures: The separate files of the figures, for the formats that need them.
    """

    documents: tuple[Path, ...]
    figures: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return (*self.documents, *self.figures)


def build(
    run: RunFolder,
    out: Path,
    formats: Sequence[str] = FORMATS,
    *,
    benchmarks: Path | None = None,
    adversary: Path | None = None,
    periodic: Path | None = None,
) -> Report:
    """Write the report of `run` into the folder `out`, made when missing.

    Args:
        run: A run's folder.
        out: Where ``report.<format>`` and ``figures/`` go; older files of these names are replaced, and an
            older signature is removed.
        formats: Some of :data:`FORMATS`.
        benchmarks: pytest-benchmark's JSON of the verification's steps, for a section of its own.
        adversary: JSON of the attacks that were tried on the verifier, likewise.
        periodic: JSON of what attesting at intervals cost a workload, likewise.

    Raises:
        UsageError: A format is not known.
        RecordError: The run's folder, or one of the files, is damaged.
        StorageError: A file cannot be written.
    """
    _require_known(formats)
    document = compose.document(
        material.read(run, benchmarks=benchmarks, adversary=adversary, periodic=periodic),
        pdf="tex" in formats,
    )
    return write(document, out, formats)


def _require_known(formats: Sequence[str]) -> None:
    unknown = [form for form in formats if form not in FORMATS]
    if unknown:
        raise UsageError(
            f"no report can be written as {', '.join(unknown)}", remedy=f"choose among {', '.join(FORMATS)}"
        )


def write(document: Document, out: Path, formats: Sequence[str] = FORMATS) -> Report:
    """Write `document` into the folder `out`, made when missing; an older signature there is removed.

    Raises:
        UsageError: A format is not known.
        StorageError: A file cannot be written.
    """
    _require_known(formats)
    signed.forget(out)
    figures = _figures(document, out / "figures", formats)
    documents = []
    for form in dict.fromkeys(formats):
        path = out / f"report.{form}"
        write_atomic(path, _encoded(render.text(document, form)))
        documents.append(path)
    return Report(documents=tuple(documents), figures=figures)


def _encoded(text: str) -> bytes:
    """UTF-8; what it has no bytes for, such as a byte of a file's name that was none, stands as an escape."""
    return text.encode("utf-8", "backslashreplace")


def _figures(document: Document, folder: Path, formats: Sequence[str]) -> tuple[Path, ...]:
    """Markdown names SVG files, LaTeX PDF files; HTML holds its figures itself."""
    written = []
    for figure in document.figures:
        for form, suffix, data in (("md", "svg", figure.svg), ("tex", "pdf", figure.pdf)):
            if form in formats and data is not None:
                path = folder / f"{figure.key}.{suffix}"
                write_atomic(path, data)
                written.append(path)
    return tuple(written)
