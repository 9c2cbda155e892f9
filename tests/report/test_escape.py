from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from harness.report.document import escape

ACTIVE = re.compile(r"[\\{}$&#%_^~]")


def test_latex_specials_become_commands() -> None:
    assert escape.tex("50 % of $x_1 & #2") == r"50 \% of \$x\_\allowbreak{}1 \& \#2"
    assert escape.tex("\\~^{}") == r"\textbackslash{}\textasciitilde{}\textasciicircum{}\{\}"


def test_latex_has_commands_for_what_reports_use_and_codes_for_the_rest() -> None:
    assert escape.tex("a→b, 3–5 ± 1 µs") == (
        r"a\ensuremath{\rightarrow}b, 3\textendash{}5 \ensuremath{\pm} 1 \textmu{}s"
    )
    assert escape.tex("é") == "é"
    assert escape.tex("\u4e2d") == "[U+4E2D]"


@given(st.text())
def test_latex_leaves_no_special_character_active(text: str) -> None:
    written = escape.tex(text)
    commands = r"\\(?:[{}$&#%_]|ensuremath\{(?:\\[a-z]+|-)\}|[A-Za-z]+(?:\{\})?)|\{-\}"
    rest = re.sub(commands, "", written).replace("~", "")
    assert ACTIVE.search(rest) is None
    assert "\n" not in written


@given(st.text())
def test_a_markdown_cell_stays_one_cell_of_one_line(text: str) -> None:
    written = escape.markdown(text)
    assert "\n" not in written
    assert re.search(r"(?<!\\)(?:\\\\)*\|", written) is None
    assert "<" not in written


def test_markdown_shows_what_it_was_given() -> None:
    assert escape.markdown("*a* [b](c) <i> & `d` | ~e~") == (r"\*a\* \[b\](c) &lt;i&gt; &amp; \`d\` \| \~e\~")


def test_a_fence_is_longer_than_any_in_the_text() -> None:
    assert escape.markdown_code("a\n````\nb").split("\n")[0] == "`````text"


def test_controls_never_reach_a_document() -> None:
    assert escape.plain("a\x00b\x1bc\r\nd") == "a\ufffdb\ufffdc d"


def test_what_reorders_or_hides_a_text_is_shown_in_a_document() -> None:
    assert escape.plain("a\u202egnp.exe\u2028b\u200b\u3164") == r"a\u202egnp.exe\u2028b\u200b\u3164"


def test_no_control_reaches_the_lines_of_a_block() -> None:
    """As of the campaign of a run that another user made."""
    text = "a:\r\n\t- \x1b[2J\x9b31m # \u202eb\n\n"
    shown = "a:\n\t- \ufffd[2J\ufffd31m # \\u202eb\n\n"
    assert escape.code(text) == shown
    assert escape.markdown_code(text) == f"```text\n{shown}\n```"


def test_verbatim_lines_keep_their_blanks() -> None:
    assert escape.tex_verbatim("a:\n  b\n\nc") == "a:\\\\\n~~b\\\\\n~\\\\\nc"
