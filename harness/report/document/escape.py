"""Text into Markdown and LaTeX: whatever a name or a message holds, it stays text.

HTML's escaping is Jinja2's own. Nothing here decides what is said, only how a character is written.
"""

from __future__ import annotations

import re
import unicodedata

from harness.legible import legible

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


_UNBROKEN = 16
"""A longer word may be broken in LaTeX: a hash, a version or a path; a word of letters from twice as long."""
_BREAK_EVERY = 6


def plain(text: str) -> str:
    """`text` without characters that no document may hold, in one line: white space is one blank.

    Controls become U+FFFD; what reorders or hides other characters is shown as its code, as on a terminal.
    """
    return _seen(re.sub(r"\s*[\r\n\t\v\f]+\s*", " ", text))


def code(text: str) -> str:
    """Lines, in which blanks and tabs are kept, without other characters that no document may hold."""
    return "\n".join("\t".join(map(_seen, line.split("\t"))) for line in re.split(r"\r?\n", text))


def _seen(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    unfit = {"Cc", "Cs", "Cn"}
    return "".join("\ufffd" if unicodedata.category(sign) in unfit else legible(sign) for sign in text)


def tex(text: str) -> str:
    """`text` as LaTeX that typesets exactly it; a character no common font has shows its code."""
    return " ".join(_tex_word(word) for word in plain(text).split(" "))


def _tex_word(word: str) -> str:
    """A word; one without a place to break that could be longer than a column may break every few signs."""
    plain_word = word.replace("_", "").isalpha() and len(word) <= 2 * _UNBROKEN
    if len(word) <= _UNBROKEN or plain_word:
        return "".join(map(_tex_sign, word))
    parts = [word[at : at + _BREAK_EVERY] for at in range(0, len(word), _BREAK_EVERY)]
    return r"\allowbreak{}".join("".join(map(_tex_sign, part)) for part in parts)


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
    text = code(text)
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * max(3, max(runs, default=0) + 1)
    return f"{fence}text\n{text}\n{fence}"
