"""Predictions from a file of any known kind: which kind it is, and plain JSON lines and CSV.

Nothing here knows a task; `evalharness.run.matching` finds out which document each answer belongs to.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalharness.backend.predictions import MAX_PROBLEMS, Found, Prediction, checked, parsed_line
from evalharness.backend.predictions_foreign import read_inspect, read_lighteval, read_lm_eval
from evalharness.errors import ModelError, Problem

#: Other names of columns that plain files may use.
_ALIASES = {"id": "document_id", "prediction": "text"}
#: Columns of a CSV file that hold a JSON list, and such that hold a number.
_LISTS = frozenset({"logprobs", "n_tokens", "n_bytes", "n_words", "n_prompt_tokens", "truncated_tokens", "is_greedy"})
_NUMBERS = frozenset({"repeat", "slot"})
_MAX_CELL_CHARACTERS = 1 << 30


@dataclass(frozen=True, slots=True)
class Source:
    """The answers of one file.

    format: how it was read. origin: the path as given. digest: hex sha256 of the content. system: what
    answered, where that is known.
    """

    format: str
    origin: str
    digest: str
    found: tuple[Found, ...]
    system: str | None = None


def read_source(path: Path, format_name: str = "auto") -> Source:
    """Read a file of predictions.

    format_name: a name of `FORMATS`, or ``auto``: seen from the content. Raises ModelError: the file cannot be read, or is of
    no known kind, or of two; with all mistakes, with file and line.
    """
    try:
        content = path.read_bytes()
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise ModelError.at(path, f"cannot be read: {reason}", "give the path of a file of predictions") from None
    chosen = detected(path, content) if format_name == "auto" else format_name
    problems: list[Problem] = []
    found = FORMATS[chosen](path, content, problems)
    if problems:
        raise ModelError(problems)
    if not found:
        raise ModelError.at(path, "the file holds no predictions", "write one a line")
    return Source(chosen, str(path), hashlib.sha256(content).hexdigest(), tuple(found))


def source_of_text(origin: str, text: str, system: str) -> Source:
    """Return the answers of plain JSON lines that lie in no file, such as those of a stored run."""
    content = text.encode("utf-8")
    problems: list[Problem] = []
    found = read_jsonl(Path(origin), content, problems)
    if problems:
        raise ModelError(problems)
    return Source("jsonl", origin, hashlib.sha256(content).hexdigest(), tuple(found), system)


def detected(path: Path, content: bytes) -> str:
    """Return the format of a file, seen from its content; raise ModelError where none fits, or two do."""
    if content.startswith(b"PK\x03\x04"):
        return "inspect"
    if content.startswith(b"PAR1"):
        return "lighteval"
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    fix = f"say what it is with --format: {', '.join(FORMATS)}"
    if not text.startswith(b"{"):
        header = set(text.split(b"\n", 1)[0].decode("utf-8", "replace").replace('"', "").strip().split(","))
        if header & {"text", "prediction", "logprobs", "error"}:
            return "csv"
        what = "no known kind of predictions: neither JSON, CSV with a column `text` or `logprobs`, Parquet nor zip"
        raise ModelError.at(path, what, fix)
    fitting = _json_kinds(text)
    if len(fitting) > 1:
        raise ModelError.at(path, f"this could be {' or '.join(fitting)}", fix)
    return fitting[0] if fitting else "jsonl"


def _json_kinds(text: bytes) -> list[str]:
    """Return the formats that the keys of the first JSON object fit."""
    first = _object_of(text.split(b"\n", 1)[0])
    if first is None:
        whole = _object_of(text)
        return ["inspect"] if whole is not None and {"eval", "samples"} <= whole.keys() else []
    kinds = {
        "lm-eval": {"doc_id", "doc", "resps"} <= first.keys(),
        "inspect": {"eval", "samples"} <= first.keys(),
        "jsonl": bool({"text", "prediction", "logprobs", "error"} & first.keys() - {"eval"}) and "eval" not in first,
    }
    return [name for name, fits in kinds.items() if fits]


def _object_of(text: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def read_jsonl(path: Path, content: bytes, problems: list[Problem]) -> list[Found]:
    """Read plain JSON lines: the fields of `Prediction`, the document's id optional."""
    found: list[Found] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if len(problems) >= MAX_PROBLEMS:
            break
        if line.strip():
            where = f"{path}:{number}"
            data = parsed_line(line, where, problems)
            if data is not None:
                found += _plain(data, where, problems)
    return found


def read_csv(path: Path, content: bytes, problems: list[Problem]) -> list[Found]:
    """Read a table with a header: the fields of `Prediction` as columns, lists as JSON; an empty cell is not given."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        problems.append(Problem(str(path), f"not UTF-8 text (byte {fault.start})", "save the file as UTF-8"))
        return []
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    known = {*Prediction.model_fields, *_ALIASES}
    columns = list(table.fieldnames or ())
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        problems.append(Problem(f"{path}:1", f"two columns are named `{twice[0]}`", "remove or rename one"))
        return []
    strangers = [name for name in columns if name not in known]
    if strangers:
        fix = f"remove the column; known columns: {', '.join(sorted(known))}"
        problems.append(Problem(f"{path}:1", f"unknown column `{strangers[0]}`", fix))
        return []
    found: list[Found] = []
    try:
        for row in table:
            where = f"{path}:{table.line_num}"
            if None in row or None in row.values():
                fix = "give every line as many cells as the header; quote cells that hold commas"
                problems.append(Problem(where, "the number of cells differs from the header", fix))
            else:
                found += _plain(_typed(row, where, problems), where, problems)
            if len(problems) >= MAX_PROBLEMS:
                break
    except csv.Error as fault:
        problems.append(Problem(f"{path}:{table.line_num}", f"not valid CSV: {fault}", "mend the quoting on that line"))
    return found


def _typed(row: Mapping[str, str], where: str, problems: list[Problem]) -> dict[str, Any]:
    """Give the cells of one row their types; an empty text is a text, unless log-probabilities or an error stand beside it."""
    typed: dict[str, Any] = {}
    others = any(row.get(name) for name in ("logprobs", "error"))
    for name, cell in row.items():
        if name in _LISTS | _NUMBERS and cell.strip():
            try:
                typed[name] = json.loads(cell)
            except (ValueError, RecursionError):
                kind = "a whole number" if name in _NUMBERS else "a list such as [-1.5, -0.25]"
                problems.append(Problem(where, f"{name}: {cell!r} cannot be read", f"write {kind}"))
        elif cell or (name in ("text", "prediction") and not others):
            typed[name] = cell
    return typed


def _plain(data: Mapping[str, Any], where: str, problems: list[Problem]) -> list[Found]:
    """Return the answer of one row; nothing after its mistakes were added to `problems`."""
    twice = [name for name, meant in _ALIASES.items() if name in data and meant in data]
    if twice:
        problems.append(
            Problem(where, f"`{twice[0]}` and `{_ALIASES[twice[0]]}` are the same field", "give one of them")
        )
        return []
    fields = {_ALIASES.get(name, name): value for name, value in data.items()}
    if fields.get("document_id") is None:
        fields.pop("document_id", None)
    prediction = checked({"document_id": "", **fields}, where, problems)
    if prediction is None:
        return []
    answer = prediction.model_dump(exclude_unset=True, exclude={"document_id"})
    return [Found(where, answer, document_id=prediction.document_id if "document_id" in fields else None)]


#: What reads each format: (path, content, problems to add to) to answers.
FORMATS: Mapping[str, Callable[[Path, bytes, list[Problem]], list[Found]]] = MappingProxyType(
    {
        "jsonl": read_jsonl,
        "csv": read_csv,
        "lm-eval": read_lm_eval,
        "lighteval": read_lighteval,
        "inspect": read_inspect,
    }
)
