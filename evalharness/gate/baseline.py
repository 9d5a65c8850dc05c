"""Baselines in a lock file that is kept under version control: which runs candidates are held against, since when, and why.

The lock file names the run and the checksum of its scores file, which lies beside it; so a gate needs neither the run's
directory nor the machine that made it. A baseline changes by `accept` alone, never by a gate that passed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from evalharness.compare.scores import RunScores, TaskScores
from evalharness.errors import BaselineError, GateError, Problem, suggest
from evalharness.gate.evidence import Performance
from evalharness.gate.scores_file import ScoresFile, decode_scores, encode_scores, scored_tasks
from evalharness.gate.sides import MissingBaseline, Side, performance_of
from evalharness.gate.verdict import Input
from evalharness.run.atomic import write_atomically
from evalharness.run.record import canonical_json

SCHEMA_VERSION = 1
DEFAULT_NAME = "main"

#: How many former baselines of a name the lock file tells about; version control has them all.
_MOST_FORMER = 10
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class TaskSummary(_Part):
    """What a person wants to see of a task in a diff: its identity, and its headline."""

    fingerprint: str
    data_hash: str
    n_documents: int
    n_failed: int
    metric: str | None = None
    value: float | None = None
    standard_error: float | None = None


class Former(_Part):
    """A run that was the baseline once."""

    run_id: str
    sha256: str
    accepted: dt.datetime
    reason: str


class Entry(_Part):
    """One baseline: its run, why it was accepted, and where its scores lie.

    scores: file name beside the lock file. sha256: of that file's bytes. source: where the run was found.
    """

    run_id: str
    model: str
    source: str
    scores: str
    sha256: str
    accepted: dt.datetime
    reason: str
    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None
    peak_device_bytes: int | None = None
    hardware: str = ""
    tasks: dict[str, TaskSummary]
    former: tuple[Former, ...] = ()


class Lock(_Part):
    """What the lock file holds: baselines by name."""

    schema_version: int = SCHEMA_VERSION
    baselines: dict[str, Entry] = Field(default_factory=dict)


def read_lock(path: Path) -> Lock:
    """Read a lock file; one that does not exist has no baselines.

    Raises GateError when it cannot be read, is not a lock file, or was written by a newer version.
    """
    try:
        raw = from_json(path.read_bytes(), allow_inf_nan=False)
    except FileNotFoundError:
        return Lock()
    except (OSError, ValueError) as error:
        raise GateError.at(path, f"cannot be read: {error}", "restore it from version control") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        what = f"schema version {version!r}, and this evalharness reads {SCHEMA_VERSION}"
        raise GateError.at(path, what, "use the version of evalharness that wrote it, or a later one")
    try:
        return Lock.model_validate(raw)
    except ValidationError as error:
        problems = [
            Problem(str(path), f"{'.'.join(map(str, each['loc']))}: {each['msg']}", "restore it from version control")
            for each in error.errors(include_url=False)
        ]
        raise GateError(problems) from error


def read_scores(path: Path, name: str, entry: Entry) -> ScoresFile:
    """Read the scores of a baseline, and check them against the lock file at `path`.

    Raises BaselineError when the file is missing, its checksum is another, or it holds another run.
    """
    if Path(entry.scores).name != entry.scores:
        raise BaselineError.at(path, f"baseline `{name}` names a scores file elsewhere: {entry.scores}")
    file = path.parent / entry.scores
    try:
        data = file.read_bytes()
    except OSError as error:
        fix = "restore it from version control, or accept the baseline again"
        raise BaselineError.at(
            file, f"the scores of `{name}` cannot be read: {error.strerror or error}", fix
        ) from error
    scores = decode_scores(data, file, entry.sha256)
    if scores.run_id != entry.run_id or set(scores.tasks) != set(entry.tasks):
        raise BaselineError.at(
            file, f"holds another run than the lock file says of `{name}`", "accept the baseline again"
        )
    return scores


def side_of_baseline(path: Path, name: str) -> Side | MissingBaseline:
    """Return a baseline of the lock file at `path` as a side; it needs no run directory.

    Missing only where the lock file has no baselines at all: a name that it does not know is a mistake.
    Raises GateError as `read_lock` and `read_scores` do, and for an unknown name, with the nearest one.
    """
    lock = read_lock(path)
    if not lock.baselines:
        how = f"evalharness baseline accept RUN --name {name} --reason '...'"
        return MissingBaseline(name, f"there is no baseline yet in {path}: {how}")
    if name not in lock.baselines:
        raise GateError.at(path, f"there is no baseline `{name}`", suggest(name, lock.baselines, noun="baselines"))
    entry = lock.baselines[name]
    content = read_scores(path, name, entry)

    def scores(task: str, metric: str, contents: bool) -> TaskScores:
        return content.tasks[task][metric]

    records = {task: next(iter(by_metric.values())).record for task, by_metric in content.tasks.items()}
    performance = Performance(entry.tokens_per_second, entry.peak_memory_bytes, entry.peak_device_bytes, entry.hardware)
    source = Input(name, entry.run_id, entry.model, str(path), entry.sha256)
    return Side(source, records, performance, scores, are_hashes_short=True)


def accept(path: Path, name: str, run: RunScores, reason: str, now: dt.datetime) -> Entry:
    """Make a run the baseline `name` of the lock file at `path`: scores file first, then the lock, each atomically.

    The same run and reason leave the bytes of the scores file as they are. Whether the run may become the baseline is for the
    caller to decide. Raises GateError for a bad name, an empty reason, and files that cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise GateError.at("--name", f"{name!r} cannot name a baseline", "use letters, digits and . _ -")
    if not reason.strip():
        raise GateError.at("--reason", "is empty", "say why this run becomes the baseline: the lock file keeps it")
    lock = read_lock(path)
    data = encode_scores(run)
    entry = _entry(name, run, reason.strip(), data, now, lock.baselines.get(name))
    baselines = {**lock.baselines, name: entry}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path.parent / entry.scores, data)
        write_atomically(path, canonical_json(Lock(baselines=baselines).model_dump(mode="json", exclude_none=True)))
        _remove_unused(path, lock.baselines, baselines)
    except OSError as error:
        raise GateError.at(path, f"cannot be written: {error.strerror or error}") from error
    return entry


def _entry(name: str, run: RunScores, reason: str, data: bytes, now: dt.datetime, before: Entry | None) -> Entry:
    record, measured = run.record, performance_of(run.record)
    sha256 = hashlib.sha256(data).hexdigest()
    former: tuple[Former, ...] = ()
    if before is not None:
        last = Former(run_id=before.run_id, sha256=before.sha256, accepted=before.accepted, reason=before.reason)
        former = (last, *before.former)[:_MOST_FORMER]
    return Entry(
        run_id=record.run_id,
        model=record.model.name,
        source=_shown(run.where),
        scores=f"{name}-{sha256[:8]}.scores.json.gz",
        sha256=sha256,
        accepted=now.replace(microsecond=0),
        reason=reason,
        tokens_per_second=measured.tokens_per_second,
        peak_memory_bytes=measured.peak_memory_bytes,
        peak_device_bytes=measured.peak_device_bytes,
        hardware=measured.hardware,
        tasks=_summaries(run),
        former=former,
    )


def _shown(where: str) -> str:
    """Return a run's directory without what lies above the work tree: other machines have it elsewhere."""
    path = Path(where)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else where


def _summaries(run: RunScores) -> dict[str, TaskSummary]:
    return {
        task.name: TaskSummary(
            fingerprint=task.fingerprint,
            data_hash=task.data_hash,
            n_documents=task.n_documents,
            n_failed=task.n_failed,
            metric=task.headline.name if task.headline else None,
            value=task.headline.value if task.headline else None,
            standard_error=task.headline.standard_error if task.headline else None,
        )
        for task in scored_tasks(run)
    }


def _remove_unused(path: Path, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
    """Delete scores files that no baseline names any more; the lock file that named them is replaced already."""
    used = {entry.scores for entry in after.values()}
    for entry in before.values():
        if entry.scores not in used and Path(entry.scores).name == entry.scores:
            (path.parent / entry.scores).unlink(missing_ok=True)
