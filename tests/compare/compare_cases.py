"""Scores and small committed runs, built by hand, that the tests of this folder share."""

from __future__ import annotations

import datetime as dt
import hashlib

import numpy as np

from evalharness.compare.scores import TaskScores
from evalharness.metric.registry import build_metric
from evalharness.request import Document, Generated, RequestKey, Sample
from evalharness.run.record import MetricResult, ModelRecord, Provenance, RunRecord, SampleRecord, TaskRecord


def texts(values):
    found = np.empty(len(values), dtype=object)
    found[:] = list(values)
    return found


def result(rows, metric="exact_match", name=None, **changes):
    """The record of a metric on (n, k) rows."""
    built = build_metric(metric, changes.get("parameters") or {}, where="test")
    rows = np.asarray(rows, dtype=float)
    value = None
    if len(rows):
        value = built.value_of_rows(rows) if built.aggregation == "rank" else float(built.value(rows.sum(axis=0)))
    fields = {
        "name": name or metric,
        "value": value,
        "absence": None if len(rows) else "there are no samples",
        "n": len(rows),
        "signature": built.signature(),
        "unit": built.unit,
        "higher_is_better": built.higher_is_better,
        "metric": metric,
        "parameters": {},
        "aggregation": built.aggregation,
    }
    return MetricResult(**{**fields, **changes})


def task_record(name="facts", *metrics, n_scored, n_failed=0, **changes):
    fields = {
        "name": name,
        "fingerprint": hashlib.sha256(name.encode()).hexdigest(),
        "data_hash": "d" * 64,
        "n_documents": n_scored + n_failed,
        "n_scored": n_scored,
        "n_failed": n_failed,
        "metrics": metrics,
        "output": "generate",
        "version": "1",
    }
    return TaskRecord(**{**fields, **changes})


def scores(rows, metric="exact_match", *, ids=None, hashes=None, clusters=None, failed=(), contents=None, **changes):
    """One side; changes of the task's record by name, and of the metric's as ``result=...``."""
    rows = np.asarray(rows, dtype=float)
    ids = [str(i) for i in range(len(rows))] if ids is None else list(ids)
    found = changes.pop("result", None) or result(rows, metric)
    return TaskScores(
        run_id="run",
        model="model",
        record=task_record("facts", found, n_scored=len(rows), n_failed=len(failed), **changes),
        result=found,
        document_ids=texts(ids),
        input_hashes=texts([f"hash {i}" for i in ids] if hashes is None else hashes),
        rows=rows,
        clusters=None if clusters is None else texts(clusters),
        failed_ids=frozenset(failed),
        content_hashes=None if contents is None else texts(contents),
    )


def means(values):
    """Rows of a mean: (value, 1) each."""
    values = np.asarray(values, dtype=float)
    return np.stack([values, np.ones(len(values))], axis=1)


def outcomes(both, lost, won, neither):
    """Right and wrong of two sides: (baseline, candidate) values."""
    baseline = [1] * both + [1] * lost + [0] * won + [0] * neither
    candidate = [1] * both + [0] * lost + [1] * won + [0] * neither
    return means(baseline), means(candidate)


def commit(store, model, tasks, *, failed=(), answers=None, **changes):
    """Commit a run; tasks: {task: {metric: (n, k) rows}}, document i of each task with id "i". Returns the run id.

    failed: (task, id) pairs, whose rows are left out. changes: of every task's record, such as ``fingerprint``.
    """
    directory = store.begin(model, {"model": model, "at": dt.datetime.now(dt.UTC).isoformat()})
    records, samples = [], []
    for task, by_metric in tasks.items():
        n = len(next(iter(by_metric.values())))
        kept = [i for i in range(n) if (task, str(i)) not in failed]
        found = [
            result(np.asarray(rows, dtype=float)[kept], metric, headline=at == 0, **_guess(at, changes))
            for at, (metric, rows) in enumerate(by_metric.items())
        ]
        record = {key: value for key, value in changes.items() if key != "random_baseline"}
        records.append(task_record(task, *found, n_scored=len(kept), n_failed=n - len(kept), **record))
        for i in range(n):
            rows = {metric: [float(x) for x in rows[i]] for metric, rows in by_metric.items()} if i in kept else {}
            samples.append(SampleRecord(_sample(task, i, (answers or {}).get(i, f"answer {i}"), i in kept), rows))
    record = RunRecord(
        run_id=directory.run_id,
        plan_fingerprint=directory.plan_fingerprint,
        created=directory.created,
        finished=directory.created,
        status="partial" if failed else "complete",
        model=ModelRecord(name=model, identity={"weights": f"weights of {model}"}, spec={"path": model}),
        tasks=tuple(records),
        settings={"seed": 0, "limit": None},
        provenance=Provenance(python="3.11", platform="Linux", packages={"evalharness": "0.1.0"}),
    )
    directory.commit(record, samples)
    return directory.run_id


def _guess(at, changes):
    return {"random_baseline": changes["random_baseline"]} if at == 0 and "random_baseline" in changes else {}


def _sample(task, i, answer, is_scored):
    response = Generated(RequestKey(task, str(i)), answer, 3, "eos")
    return Sample(
        task,
        Document(str(i), {"question": f"{i}?"}, f"content {i}"),
        f"Question: {i}?",
        (f"reference {i}",),
        ((response,),),
        input_hash=f"hash {i}",
        answers=(answer,),
        error=None if is_scored else "too long",
    )
