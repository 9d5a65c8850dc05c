"""A verdict as Markdown, for the summary of a build and for a comment that is updated in place."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from evalharness.escaping import markdown, unmentioned
from evalharness.gate.cells import cells, headings, input_lines, remarks, row_name
from evalharness.gate.verdict import GateVerdict, Row
from evalharness.gate.wording import counted

#: The longest body that GitHub takes for a comment, in characters; a step's summary may have 1 MiB.
MOST_CHARACTERS = 65_536

_RESERVE = 600


def to_markdown(verdict: GateVerdict, *, most_characters: int = MOST_CHARACTERS) -> str:
    """Return the verdict: a hidden marker, the headline, rows that did not pass, and the others folded away.

    The marker is the same for every verdict of a gate's name, so that one comment can be found and replaced. Where the text
    would be too long, rows that passed are left out first, and the number of what is missing is told.
    """
    open_rows = [row for row in verdict.rows if row.verdict != "pass" or row.kind == "suite"]
    passed = [row for row in verdict.rows if row.verdict == "pass" and row.kind != "suite"]
    head = [
        f"<!-- evalharness-gate:{_marker(verdict.name)} -->",
        f"## Gate {_safe(verdict.name)}: {verdict.verdict}",
        "",
        _safe(verdict.sentence),
        "",
    ]
    tail = ["", *(f"- {_safe(line)}" for line in [*verdict.notes, *input_lines(verdict)]), "", *_configuration(verdict)]
    room = most_characters - _RESERVE - len("\n".join([*head, *tail]))
    shown, room = _table(open_rows, verdict, room)
    body = [*shown, *_reasons(open_rows, verdict, room // 2)]
    if passed:
        title = f"{counted(len(passed), 'row')} passed"
        folded, _ = _table(passed, verdict, room // 2)
        body += ["", f"<details><summary>{title}</summary>", "", *folded, "", "</details>"]
    text = "\n".join([*head, *body, *tail]) + "\n"
    return text if len(text) <= most_characters else "\n".join([*head, *body])[: most_characters - 1] + "\n"


def _table(rows: Sequence[Row], verdict: GateVerdict, room: int) -> tuple[list[str], int]:
    """Return a table of as many rows as there is room for, in characters, and the room that is left."""
    if not rows:
        return [], room
    titles = headings(verdict)
    lines = [_line(titles), _line(["---", "---", *["---:"] * (len(titles) - 3), "---"])]
    left = room - sum(map(len, lines))
    for index, row in enumerate(rows):
        line = _line([_safe(text) for text in cells(row, verdict)])
        if len(line) > left:
            missing = counted(len(rows) - index, "more row")
            return [*lines, "", f"{missing} did not fit; the JSON report has all."], 0
        lines.append(line)
        left -= len(line) + 1
    return lines, left


def _reasons(rows: Sequence[Row], verdict: GateVerdict, room: int) -> list[str]:
    lines: list[str] = [""]
    for row in rows:
        line = f"- **{_safe(row_name(row, verdict.rows))}**: {_safe(remarks(row))}"
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    return lines if len(lines) > 1 else []


def _configuration(verdict: GateVerdict) -> list[str]:
    text = yaml.safe_dump(dict(verdict.config), sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
    text = text.rstrip().replace("`", "'")  # nothing ends the block in which it stands
    return ["<details><summary>configuration</summary>", "", "```yaml", unmentioned(text), "```", "", "</details>"]


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _safe(text: str) -> str:
    return unmentioned(markdown(text))


def _marker(name: str) -> str:
    """A name that cannot end the comment in which it stands."""
    return "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in name)
