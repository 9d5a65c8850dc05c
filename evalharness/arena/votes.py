"""What one person said of stored answers: a vote on two, or a rating of one; and both as JSON lines.

A document is identified by its task and `input_hash` (what was asked, see `Sample`), so that judgements outlive the runs.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from evalharness.errors import Problem, StoreError

#: Of the tables and the JSON lines; goes up when a field is renamed, removed or changes its meaning.
SCHEMA_VERSION = 1

#: What a voter may say of two answers. "skipped" is remembered, so that the pair does not come back, and counts for nothing.
Outcome = Literal["first", "second", "tie", "both_bad", "skipped"]

#: What single answers are rated on, from 1 (worst) to 5 (best), where the variable names nothing else.
RUBRIC_VARIABLE = "EVALHARNESS_RUBRIC"
DEFAULT_RUBRIC = ("accuracy", "fluency", "relevance")
LOWEST_RATING, HIGHEST_RATING = 1, 5

MOST_REASON_LETTERS = 2000

_Name = Annotated[str, Field(min_length=1, max_length=1000)]


def _utc(moment: str) -> str:
    if dt.datetime.fromisoformat(moment).utcoffset() != dt.timedelta(0):
        raise ValueError("a moment is ISO 8601 in UTC, such as 2026-11-21T12:00:00+00:00")
    return moment


_Moment = Annotated[str, AfterValidator(_utc)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Vote:
    """Which of two answers to one document a person prefers.

    first_model, second_model: in the order in which they were shown; first_run, second_run: ids of the runs that hold their
    answers. reason: the voter's words, None without. voted: ISO 8601, UTC.
    """

    voter: _Name
    task: _Name
    input_hash: _Name
    document_id: _Name
    first_model: _Name
    second_model: _Name
    first_run: _Name
    second_run: _Name
    outcome: Outcome
    voted: _Moment
    reason: Annotated[str, Field(max_length=MOST_REASON_LETTERS)] | None = None

    def __post_init__(self) -> None:
        if self.first_model == self.second_model:
            raise ValueError("a vote is on answers of two models")

    @property
    def pair(self) -> tuple[str, str]:
        """The two models in alphabetical order, whatever side each was on."""
        return min(self.first_model, self.second_model), max(self.first_model, self.second_model)


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Rating:
    """How good a person finds one answer by one criterion, from 1 (worst) to 5; rated: ISO 8601, UTC."""

    voter: _Name
    task: _Name
    input_hash: _Name
    document_id: _Name
    model: _Name
    run_id: _Name
    criterion: _Name
    value: Annotated[int, Field(ge=LOWEST_RATING, le=HIGHEST_RATING)]
    rated: _Moment


Judgement = Vote | Rating

_KINDS: dict[str, TypeAdapter[Vote] | TypeAdapter[Rating]] = {"vote": TypeAdapter(Vote), "rating": TypeAdapter(Rating)}


def now() -> str:
    """Return this moment as judgements write it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def to_json_lines(judgements: Iterable[Judgement]) -> str:
    """Write judgements as JSON lines, after a first line with the schema version."""
    lines: list[dict[str, Any]] = [{"kind": "evalharness.arena", "schema_version": SCHEMA_VERSION}]
    for each in judgements:
        lines.append({"kind": "vote" if isinstance(each, Vote) else "rating", **dataclasses.asdict(each)})
    return "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)


def from_json_lines(text: str, where: object) -> list[Judgement]:
    """Read what `to_json_lines` wrote; raises StoreError with every line that is wrong. where: named in errors."""
    # not splitlines, which also cuts at letters that JSON leaves inside texts, such as U+2028
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    head = _object(lines[0][1]) if lines else None
    if not isinstance(head, dict) or head.get("kind") != "evalharness.arena":
        fix = "export them with: evalharness arena export -o votes.jsonl"
        raise StoreError.at(where, "these are no exported votes: the first line does not say so", fix)
    if head.get("schema_version") != SCHEMA_VERSION:
        what = f"schema version {head.get('schema_version')!r}; this evalharness reads {SCHEMA_VERSION}"
        raise StoreError.at(where, what, "use the version of evalharness that wrote the file, or a later one")
    found: list[Judgement] = []
    problems: list[Problem] = []
    for number, line in lines[1:]:
        fields = _object(line)
        reader = _KINDS.get(fields.pop("kind", "")) if isinstance(fields, dict) else None
        if reader is None:
            problems.append(Problem(f"{where}:{number}", "neither a vote nor a rating"))
            continue
        try:
            found.append(reader.validate_json(json.dumps(fields), strict=True))
        except ValidationError as error:
            problems += [
                Problem(f"{where}:{number}", f"{'.'.join(map(str, each['loc'])) or 'line'}: {each['msg']}")
                for each in error.errors(include_url=False)
            ]
    if problems:
        raise StoreError(problems)
    return found


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
