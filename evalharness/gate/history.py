"""The verdicts of gates, kept beside the runs that they judged: `<results>/gates/<utc>-<hash>.json`."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evalharness.errors import GateError
from evalharness.gate.render_json import to_json
from evalharness.gate.verdict import SCHEMA_VERSION, GateVerdict
from evalharness.run.atomic import write_atomically

GATES_FOLDER = "gates"

_STAMP = re.compile(r"(\d{8}T\d{6}Z)-")
_STAMP_FORMAT = "%Y%m%dT%H%M%SZ"
#: A verdict over thousands of tasks is a few megabytes; a greater file is none of ours.
_MOST_BYTES = 50_000_000
_VERDICT = TypeAdapter(GateVerdict)


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """One file of the history. name: the file's, without its ending. at: when it was written, in UTC.

    verdict: None where the file holds none, and `problem` then says why.
    """

    name: str
    at: dt.datetime
    verdict: GateVerdict | None
    problem: str = ""


def keep_verdict(root: str, verdict: GateVerdict) -> Path:
    """Write a verdict into the history of a results folder, and return the file.

    Raises GateError when the results lie in an object store, or the file cannot be written.
    """
    if "://" in root:
        raise GateError.at(
            root, "verdicts are kept in local folders only", "write a file with --json, and copy it there"
        )
    data = to_json(verdict)
    moment = dt.datetime.now(dt.UTC)
    path = Path(root) / GATES_FOLDER / f"{moment:{_STAMP_FORMAT}}-{hashlib.sha256(data).hexdigest()[:8]}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise GateError.at(path, f"cannot be written: {error.strerror or error}") from error
    return path


def kept_verdicts(root: str) -> list[StoredVerdict]:
    """Read the history of a results folder, newest first; a file that is no verdict is listed with the reason.

    Results in an object store have none. Raises GateError when the folder cannot be read.
    """
    folder = Path(root) / GATES_FOLDER
    if "://" in root or not folder.is_dir():
        return []
    try:
        found = [_read(path) for path in folder.iterdir() if path.suffix == ".json" and path.is_file()]
    except OSError as error:
        raise GateError.at(folder, f"cannot be read: {error.strerror or error}") from error
    return sorted(found, key=lambda each: (each.at, each.name), reverse=True)


def decode_verdict(data: bytes) -> GateVerdict:
    """Read a verdict that `to_json` wrote; raises ValueError when it is none, or of another schema version."""
    raw = json.loads(data, parse_constant=_refuse_constant)
    if not isinstance(raw, dict):
        raise ValueError("not a verdict")
    version = raw.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema version {version!r}, where this evalharness reads {SCHEMA_VERSION}")
    try:
        found = _VERDICT.validate_python(raw, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"not a verdict: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if not isinstance(found.config.get("alpha"), float):
        raise ValueError("not a verdict: config.alpha is missing")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of a verdict")


def _read(path: Path) -> StoredVerdict:
    stamp = _STAMP.match(path.name)
    status = path.stat()
    at = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC)
    if stamp:
        with contextlib.suppress(ValueError):  # digits that are no date
            at = dt.datetime.strptime(stamp[1], _STAMP_FORMAT).replace(tzinfo=dt.UTC)
    try:
        if status.st_size > _MOST_BYTES:
            raise ValueError(f"{status.st_size:,} bytes are more than a verdict has")
        return StoredVerdict(path.stem, at, decode_verdict(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        return StoredVerdict(path.stem, at, None, str(error))
