"""Text into Markdown and LaTeX: whatever a name or a message holds, it stays text.

HTML's escaping is Jinja2's own. Nothing here decides what is said, only how a character is written.
"""

from __future__ import annotations

import re
import unicodedata

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_\allowbreak{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"{-}",
    "\u00a0": "~",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "−": r"\ensuremath{-}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "µ": r"\textmu{}",
    "μ": r"\textmu{}",
    "·": r"\textperiodcentered{}",
    "†": r"\textdagger{}",
    "’": r"\textquoteright{}",
    "‘": r"\textquoteleft{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
}


def plain(text: str) -> str:
    """`text` without characters that no document may hold: controls become U+FFFD, white space one blank."""
    flat = re.sub(r"\s*[\r\n\t\v\f]+\s*", " ", text)
    return "".join("\ufffd" if unicodedata.category(sign) in {"Cc", "Cs", "Cn"} else sign for sign in flat)


def tex(text: str) -> str:
    """`text` as LaTeX that typesets exactly it; a character no common font has shows its code."""
    return "".join(_tex_sign(sign) for sign in plain(text))


def _tex_sign(sign: str) -> str:
    if sign in _TEX:
        return _TEX[sign]
    if sign.isascii() or (sign.isalpha() and ord(sign) < 0x180):
        return sign
    return rf"[U+{ord(sign):04X}]"


def tex_verbatim(text: str) -> str:
    r"""Lines as LaTeX, their blanks kept; not the verbatim environment, whose end a text could hold."""
    lines = [tex(line).replace(" ", "~") for line in text.split("\n")]
    return "\\\\\n".join(line or "~" for line in lines)


def markdown(text: str) -> str:
    """`text` as GitHub Markdown that shows exactly it, also within a table."""
    escaped = re.sub(r"([\\`*_\[\]{}|#~])", r"\\\1", plain(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_code(text: str) -> str:
    """Lines as a fenced block whose fence is longer than any run of backticks in it."""
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * max(3, max(runs, default=0) + 1)
    return f"{fence}text\n{text}\n{fence}"
