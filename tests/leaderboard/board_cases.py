"""Results and runs by hand that the tests of the leaderboard share."""

from __future__ import annotations

import datetime as dt
import hashlib

from evalharness.index.queries import IndexedCell
from evalharness.run.record import (
    GroupRecord,
    Hardware,
    MetricResult,
    ModelRecord,
    Provenance,
    RunRecord,
    TaskRecord,
    TokenTotals,
)
from evalharness.run.store import ResultStore
from evalharness.stats.intervals import wilson_interval


def cell(model, task, value, **changes):
    """A result on 100 documents with Wilson's interval, or without one where the metric is no share."""
    is_share = value is not None and 0 <= value <= 1 and changes.get("unit", "fraction") == "fraction"
    interval = wilson_interval(round(value * 100), 100) if is_share else None
    fields = {
        "model": model,
        "task": task,
        "metric": "accuracy",
        "value": value,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "level": interval and 0.95,
        "n": 100,
        "signature": "accuracy|v:1",
        "unit": "fraction",
        "higher_is_better": True,
        "random_baseline": 0.0,
        "fingerprint": "f1",
        "data_hash": "d1",
        "created": "2026-01-01T00:00:00+00:00",
        "n_documents_limit": None,
        "n_failed": 0,
    }
    return IndexedCell(**{**fields, **changes})


def task_record(name, right, n=100, **changes):
    """A task of which `right` of n documents were answered rightly."""
    interval = wilson_interval(right, n)
    headline = MetricResult(
        name="accuracy",
        value=right / n,
        low=interval.low,
        high=interval.high,
        level=0.95,
        method="wilson",
        n=n,
        signature="accuracy|v:1",
        unit="fraction",
        higher_is_better=True,
        headline=True,
        random_baseline=0.0,
    )
    fields = {
        "name": name,
        "fingerprint": hashlib.sha256(name.encode()).hexdigest(),
        "data_hash": "d1",
        "n_documents": n,
        "n_scored": n,
        "n_failed": 0,
        "metrics": (headline,),
        "output": "choose",
        "version": "1",
    }
    return TaskRecord(**{**fields, **changes})


def store_run(root, model, tasks, *, days=0, card=None, identity=None, **changes):
    """Commit a run without samples, `days` after the first day of 2026."""
    store = ResultStore(root)
    directory = store.begin(model, {"model": model, "days": days})
    created = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=days)
    fields = {
        "run_id": directory.run_id,
        "plan_fingerprint": directory.plan_fingerprint,
        "created": created,
        "finished": created + dt.timedelta(seconds=9),
        "status": "complete",
        "model": ModelRecord(
            name=model,
            identity={"backend": "transformers", "dtype": "float32", "weights": "ab" * 32, **(identity or {})},
            spec={"name": model},
            card=card or {},
        ),
        "tasks": tuple(tasks),
        "groups": (GroupRecord(name="suite", tasks=tuple(t.name for t in tasks), weighting="none", metrics=()),),
        "settings": {"limit": None, "seed": 0},
        "provenance": Provenance(
            python="3.11.7", platform="Linux", packages={}, hardware=Hardware(processor="cpu", n_cores=2)
        ),
        "tokens": TokenTotals(tokens_per_second=100.0),
        "peak_memory_bytes": 2**30,
    }
    directory.commit(RunRecord(**{**fields, **changes}), [])
    return directory
