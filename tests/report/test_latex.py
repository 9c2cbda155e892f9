from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.report import Report

pytestmark = pytest.mark.programs


def compiled(folder: Path, name: str) -> str:
    """The log of compiling `name` in `folder`."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout.decode("latin-1")[-2000:]
    return done.stdout.decode("latin-1")


def body(made: Report) -> str:
    return made.documents[2].read_text(encoding="utf-8")


def test_environments_and_conditionals_are_balanced(made: Report) -> None:
    text = body(made).split(r"\begin{document}", 1)[1]
    for name in ("longtable", "minipage"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") > 0
    assert text.count(r"\begingroup") == text.count(r"\endgroup")


def test_tables_are_booktabs_with_as_many_cells_as_columns(made: Report) -> None:
    text = body(made)
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule"))
    (table,) = re.findall(
        r"\\begin\{longtable\}\{(\w+)\}\n\\caption\{Table V.*?\\endlastfoot(.*?)\\end\{longtable\}",
        text,
        re.DOTALL,
    )
    for row in re.split(r"\\\\(?:\[2pt\])?\n", table[1].strip() + "\n")[:-1]:
        assert row.replace(r"\&", "").count("&") == len(table[0]) - 1


def test_every_figure_named_is_there(made: Report) -> None:
    named = re.findall(r"\{(figures/[^}]+)\}", body(made))
    assert named
    assert all((made.documents[2].parent / name).is_file() for name in named)


def test_it_compiles_by_itself_and_within_another_document(made: Report, tmp_path: Path) -> None:
    folder = tmp_path / "paper"
    shutil.copytree(made.documents[2].parent, folder)
    log = compiled(folder, "report.tex")
    assert "Output written on report.pdf" in log
    assert re.findall(r"^Overfull.*", log, re.MULTILINE) == []
    (folder / "host.tex").write_text(
        r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\usepackage{textcomp}"
        r"\usepackage{array,booktabs,longtable,graphicx,xcolor}\begin{document}Before."
        "\n\\input{report}\nAfter.\\end{document}\n"
    )
    assert "Output written on host.pdf" in compiled(folder, "host.tex")
