"""Text from machines, tools, files and people, made safe to show: one line that holds what it seems to hold.

A terminal obeys control characters: a file's name on an attested host could repaint the screen, set its title
or write a line that looks like the program's own. A reader is deceived by characters that reorder or hide
others. Both are shown as escapes here. This module must never be used on what is stored: evidence is kept as
it came.
"""

from __future__ import annotations

import re
import unicodedata

_SHOWN_AS_ESCAPES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's general categories (UAX 44): controls (C0, DEL, C1), formats (bidirectional controls and
characters without width), surrogates, and the separators of lines and paragraphs."""

_SEEN_AS_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
"""Of other categories what a reader does not see either (UAX 44, Default_Ignorable_Code_Point): fillers,
selectors of variants, code points that are kept for such; and the empty pattern of Braille."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNDECODED = range(0xDC80, 0xDD00)
"""Where Python puts a byte that is not UTF-8 (PEP 383)."""


def legible(text: str) -> str:
    r"""`text` on one line, with controls, invisible and reordering characters and undecoded bytes as escapes.

    Such as ``\n``, ``\x1b``, ``\u202e``; a byte that is not UTF-8 is shown as the byte: ``\xff``. What is
    printable, an ordinary blank included, stays as it is.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _SHOWN_AS_ESCAPES and not _SEEN_AS_NOTHING.match(character):
        return character
    code = ord(character)
    if code in _UNDECODED:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
