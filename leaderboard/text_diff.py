"""Two texts side by side, line by line, as plain text: what both have, what one has alone."""

from __future__ import annotations

import difflib
import re

from leaderboard.inert import cut

#: Of each text. More takes long to compare, since the time grows with the square, and is not read.
_MOST_CHARACTERS = 8_000
_MOST_LINES = 300
#: A longer line is parted at the ends of its sentences.
_LONG_LINE = 100
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")


def side_by_side(one: str, other: str) -> tuple[str, str]:
    """Return both texts with a mark before each line: a blank for both, ``-`` for the first alone, ``+`` for the second.

    Lines that belong together stand at the same height. Long texts are cut in the middle first; both are harmless.
    """
    first, second = _lines(one), _lines(other)
    left: list[str] = []
    right: list[str] = []
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    for what, first_begin, first_end, second_begin, second_end in matcher.get_opcodes():
        ours, theirs = first[first_begin:first_end], second[second_begin:second_end]
        marks = ("  ", "  ") if what == "equal" else ("- ", "+ ")
        height = max(len(ours), len(theirs))
        left += [marks[0] + line for line in ours] + [""] * (height - len(ours))
        right += [marks[1] + line for line in theirs] + [""] * (height - len(theirs))
    return "\n".join(left), "\n".join(right)


def _lines(text: str) -> list[str]:
    lines: list[str] = []
    for line in cut(text, _MOST_CHARACTERS).text.split("\n"):
        lines += _SENTENCE_END.split(line) if len(line) > _LONG_LINE else [line]
    if len(lines) <= _MOST_LINES:
        return lines
    half = _MOST_LINES // 2
    return [*lines[:half], f"[... {len(lines) - 2 * half} lines left out ...]", *lines[-half:]]
