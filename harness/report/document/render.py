"""A document as HTML, Markdown or LaTeX: the templates' only door.

The templates lay out what the document says; they compute nothing. The same document gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness import resources
from harness.report.document import drawing, escape
from harness.report.document.model import Document, Figure

FORMATS = ("html", "md", "tex")
"""What a report can be written as; also the suffixes of the files."""


def text(document: Document, form: str, templates: Path | None = None) -> str:
    """`document` in one of :data:`FORMATS`; `templates` is the project's own folder by default."""
    folder = templates or resources.templates()
    environment = _latex(folder) if form == "tex" else _markup(folder, form)
    written = environment.get_template(f"report.{form}.j2").render(
        document=document, style=_style(folder, form)
    )
    return written.rstrip("\n") + "\n"


def _style(folder: Path, form: str) -> Markup:
    return Markup((folder / "report.css").read_text(encoding="utf-8")) if form == "html" else Markup("")


def _markup(folder: Path, form: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=form == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        md=escape.markdown,
        fenced=escape.markdown_code,
        plain=escape.plain,
        code=escape.code,
        inline=_inline,
    )
    return environment


def _inline(figure: Figure) -> Markup:
    """The drawing as trusted markup: matplotlib escapes the text it is given."""
    return Markup(drawing.inline(figure))


def _latex(folder: Path) -> Environment:
    """Delimiters that LaTeX does not use itself, so that the template reads as LaTeX."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters.update(tex=escape.tex, lines=escape.tex_verbatim)
    return environment
