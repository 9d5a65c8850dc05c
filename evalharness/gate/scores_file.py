"""The scores of a baseline in a file of their own: rows and hashes of single documents, without any text.

It is what a later comparison needs, and nothing that a licence or a person's privacy could object to. Equal scores give equal
bytes: keys and documents are sorted, numbers are written so that they are read back exactly, and the archive has no time stamp.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalharness.compare.scores import RunScores, TaskScores, TextArray
from evalharness.errors import BaselineError
from evalharness.run.record import TaskRecord

SCHEMA_VERSION = 1

#: So much of a hash is kept: 64 bits tell a changed document from an unchanged one, and take a quarter of the room.
HASH_CHARACTERS = 16

#: A file that unpacks to more is not read: it was not written by this package.
_MOST_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class ScoresFile:
    """The scores of one run, as they were accepted. tasks: in the order of names, each by the label of its metrics."""

    run_id: str
    model: str
    tasks: Mapping[str, Mapping[str, TaskScores]]


def encode_scores(run: RunScores) -> bytes:
    """Write all scores of a committed run. Raises StoreError when its samples cannot be read."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.record.run_id,
        "model": run.record.model.name,
        "tasks": [_encode_task(run, task) for task in scored_tasks(run)],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0)


def scored_tasks(run: RunScores) -> list[TaskRecord]:
    """Return the tasks of a run that have any metric, in the order of names."""
    return sorted((task for task in run.record.tasks if task.metrics), key=lambda task: task.name)


def decode_scores(data: bytes, where: object, sha256: str) -> ScoresFile:
    """Read what `encode_scores` wrote, after its checksum.

    Raises BaselineError when the checksum is another, or when the content is not that of a scores file.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        what = f"its sha256 is {found[:16]}..., and the lock file says {sha256[:16]}...: the scores were changed or damaged"
        raise BaselineError.at(where, what, "restore the file from version control, or accept the baseline again")
    try:
        content = json.loads(_unpacked(data))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {content['schema_version']}, and {SCHEMA_VERSION} can be read")
        run_id, model = str(content["run_id"]), str(content["model"])
        tasks = {each["record"]["name"]: _decode_task(each, run_id, model) for each in content["tasks"]}
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        what = f"not a scores file: {type(error).__name__}: {error}".splitlines()[0]
        raise BaselineError.at(where, what, "accept the baseline again") from error
    return ScoresFile(run_id, model, tasks)


def shortened(hashes: TextArray) -> TextArray:
    """Cut hashes to the length that a scores file keeps."""
    return np.array([text[:HASH_CHARACTERS] for text in hashes], dtype=object)


def _encode_task(run: RunScores, record: TaskRecord) -> dict[str, Any]:
    by_metric = {metric.name: run.scores(record.name, metric.name, contents=True) for metric in record.metrics}
    any_scores = next(iter(by_metric.values()))
    order = sorted(range(len(any_scores.document_ids)), key=lambda i: str(any_scores.document_ids[i]))

    def column(values: TextArray | None, cut: int | None = None) -> list[str] | None:
        return None if values is None else [values[i][:cut] for i in order]

    return {
        "record": record.model_dump(mode="json"),
        "document_ids": column(any_scores.document_ids),
        "input_hashes": column(any_scores.input_hashes, HASH_CHARACTERS),
        "content_hashes": column(any_scores.content_hashes, HASH_CHARACTERS),
        "clusters": None if any_scores.clusters is None else [any_scores.clusters[i] for i in order],
        "failed_ids": sorted(any_scores.failed_ids),
        "rows": {name: scores.rows[order].tolist() for name, scores in by_metric.items()},
    }


def _decode_task(content: Mapping[str, Any], run_id: str, model: str) -> dict[str, TaskScores]:
    record = TaskRecord.model_validate(content["record"])

    def texts(name: str) -> TextArray | None:
        return None if content[name] is None else np.array(content[name], dtype=object)

    ids, hashes = texts("document_ids"), texts("input_hashes")
    if ids is None or hashes is None or not len(ids) == len(hashes) == record.n_scored:
        raise ValueError(f"{record.name} does not hold as many documents as its record says")
    found = {}
    for result in record.metrics:
        rows = np.array(content["rows"][result.name], dtype=np.float64)
        if not np.isfinite(rows).all():
            raise ValueError(f"{record.name}: a number by {result.name} is not finite")
        if rows.shape[:1] != (len(ids),) or (len(ids) and rows.ndim != 2):
            raise ValueError(f"{record.name}: {rows.shape} numbers by {result.name} for {len(ids)} documents")
        found[result.name] = TaskScores(
            run_id=run_id,
            model=model,
            record=record,
            result=result,
            document_ids=ids,
            input_hashes=hashes,
            rows=rows if len(ids) else np.empty((0, 0)),
            clusters=texts("clusters"),
            failed_ids=frozenset(content["failed_ids"]),
            content_hashes=texts("content_hashes"),
        )
    return found


def _unpacked(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError("it unpacks to more than any run has")
    return content
