"""Texts of strangers on the pages: answers, prompts and names, shown as they are and never read as markup.

Markdown fetches the images that it names, HTML runs, control characters reorder what is read, and a line of megabytes stops
a browser. So such texts go into code blocks, plain text and table cells only, cut, with controls as visible escapes.
Streamlit is imported where it draws: the static snapshot needs none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from evalharness.escaping import inert

#: Characters of a text that are shown where it stands alone, and in the cell of a table.
SHOWN_CHARACTERS = 10_000
CELL_CHARACTERS = 160

#: A longer text scrolls in a frame of its own.
_SCROLLED_CHARACTERS = 2_500
_SCROLLED_PIXELS = 420

_PLAIN_NAME = re.compile(r"(?!.*\bwww\.)[\w .+/-]{1,80}", re.ASCII | re.IGNORECASE)
_SPACES = re.compile(r"\s+")
#: More than this is not searched for spaces: the beginning or end of a cell is a few of these.
_CELL_WINDOW = 4 * CELL_CHARACTERS


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as it is shown; n_left_out: characters of its middle that are not."""

    text: str
    n_left_out: int


def harmless(text: str) -> str:
    """Show control and direction characters, and halves of surrogate pairs, as escapes; line breaks and tabs stay."""
    return inert(text).encode("utf-8", "backslashreplace").decode("utf-8")


def cut(text: str, n_characters: int = SHOWN_CHARACTERS) -> Shown:
    """Leave out the middle of a long text, since a prompt's question is at its end, and make the rest harmless."""
    if len(text) <= n_characters:
        return Shown(harmless(text), 0)
    half = n_characters // 2
    n_left_out = len(text) - 2 * half
    return Shown(
        f"{harmless(text[:half])}\n[... {n_left_out:,} characters left out ...]\n{harmless(text[-half:])}", n_left_out
    )


def cell(text: str | None, *, n_characters: int = CELL_CHARACTERS, end: bool = False) -> str:
    """Return one line of a text for a table: its beginning, or its end; ``-`` for none."""
    if text is None:
        return "-"
    is_long = len(text) > _CELL_WINDOW
    window = text[-_CELL_WINDOW:] if end else text[:_CELL_WINDOW]
    line = harmless(_SPACES.sub(" ", window).strip())
    if len(line) <= n_characters and not is_long:
        return line
    return f"…{line[-n_characters:]}" if end else f"{line[:n_characters]}…"


def in_markdown(name: str) -> str | None:
    """Return a name for a heading, its markup escaped; None if it holds anything but plain letters, digits and dashes."""
    return re.sub(r"([_.+-])", r"\\\1", name) if _PLAIN_NAME.fullmatch(name) else None


def title(kind: str, name: str) -> None:
    """Draw a page's title: the name itself where it is plain, else what kind of thing it is, and the name as text."""
    import streamlit as st

    plain = in_markdown(name)
    st.title(plain or kind)
    if plain is None:
        st.text(cut(name, 500).text)


def block(
    label: str, text: str, *, key: str, n_characters: int = SHOWN_CHARACTERS, language: str | None = None
) -> None:
    """Draw a stranger's text under a label of ours; of one that was cut, offer the whole as a file."""
    import streamlit as st

    shown = cut(text, n_characters)
    st.caption(label)
    height: int | Literal["content"] = _SCROLLED_PIXELS if len(shown.text) > _SCROLLED_CHARACTERS else "content"
    st.code(shown.text or " ", language=language, wrap_lines=True, height=height)
    if shown.n_left_out:
        st.download_button(
            f"all {len(text):,} characters",
            lambda: text.encode("utf-8", "backslashreplace"),
            file_name="text.txt",
            mime="text/plain",
            key=f"whole-{key}",
            on_click="ignore",
        )
