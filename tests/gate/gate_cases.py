"""Sides, evidence and verdicts that the tests of this folder share."""

from __future__ import annotations

import hashlib

import numpy as np

from evalharness.compare.scores import TaskScores
from evalharness.gate.config import GateConfig, margin_of
from evalharness.gate.evidence import Gain, Performance, TaskEvidence
from evalharness.gate.gate import judge_candidate
from evalharness.gate.sides import Side
from evalharness.gate.verdict import Input
from evalharness.metric.registry import build_metric
from evalharness.run.record import MetricResult, TaskRecord
from evalharness.stats.difference import difference_interval
from evalharness.stats.paired import mcnemar, paired_proportion_difference


def config(**changes):
    """The default gate, with changes; ``tasks`` are added to the rule for all."""
    everything = {"*": {"margin": 0.02, "margin_rel": 0.02}}
    return GateConfig.model_validate({"version": 1, **changes, "tasks": {**everything, **changes.get("tasks", {})}})


def gain_of_counts(n_worse, n_better, n, alpha=0.05):
    """What a comparison of right and wrong answers gives, from its counts alone."""
    estimate = paired_proportion_difference(n_worse, n_better, n)
    bounds = difference_interval(estimate, level=1 - 2 * alpha)
    return Gain(
        value=(n_better - n_worse) / n,
        scale="difference",
        n=n,
        n_units=n,
        low=bounds.low,
        high=bounds.high,
        standard_error=estimate.standard_error,
        p_worse=mcnemar(n_worse, n_better, alternative="less").p,
        n_better=n_better,
        n_worse=n_worse,
        n_changed=n_better + n_worse,
        method="bonett-price",
        is_identical=n_worse == n_better == 0,
    )


def evidence(name, gain, gate, **changes):
    """A task with a fraction as metric."""
    rule = gate.rule(name)
    margin = margin_of(rule, is_ratio=False, unit="fraction", baseline_value=0.5)
    fields = {"metric": "exact_match", "unit": "fraction", "margin": margin, "gain": gain}
    return TaskEvidence(name, rule, **{**fields, **changes})


def texts(values):
    found = np.empty(len(values), dtype=object)
    found[:] = list(values)
    return found


def means(values):
    """Rows of a mean: (value, 1) each."""
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def outcomes(both, lost, won, neither):
    """Right and wrong of two sides, (n,) each."""
    baseline = [1] * both + [1] * lost + [0] * won + [0] * neither
    candidate = [1] * both + [0] * lost + [1] * won + [0] * neither
    return np.array(baseline, dtype=float), np.array(candidate, dtype=float)


def scores(task, rows, metric="exact_match", *, hashes=None, failed=(), run_id="run", clusters=None, **changes):
    """One task of one run; changes: of the task's record, and of the metric's by ``result={...}``."""
    built = build_metric(metric, {}, where="test")
    rows = np.asarray(rows, dtype=float)
    ids = [f"{i:05}" for i in range(len(rows) + len(failed)) if f"{i:05}" not in failed]
    own = {
        "name": metric,
        "value": float(built.value(rows.sum(axis=0))),
        "n": len(rows),
        "signature": built.signature(),
        "unit": built.unit,
        "higher_is_better": built.higher_is_better,
        "headline": True,
        "metric": metric,
        "parameters": {},
        "aggregation": built.aggregation,
    }
    result = MetricResult(**{**own, **changes.pop("result", {})})
    fields = {
        "name": task,
        "fingerprint": hashlib.sha256(task.encode()).hexdigest(),
        "data_hash": "d" * 64,
        "n_documents": len(rows) + len(failed),
        "n_scored": len(rows),
        "n_failed": len(failed),
        "metrics": (result,),
        "output": "generate",
        "version": "1",
    }
    kept_hashes = [f"hash {i}" for i in ids] if hashes is None else hashes
    return TaskScores(
        run_id=run_id,
        model="model",
        record=TaskRecord(**{**fields, **changes}),
        result=result,
        document_ids=texts(ids),
        input_hashes=texts(kept_hashes),
        rows=rows,
        clusters=None if clusters is None else texts(clusters),
        failed_ids=frozenset(failed),
        content_hashes=texts([f"content {i}" for i in ids]),
    )


def side(name, *tasks, performance=None, run_id=None):
    """A side of some tasks, each with one metric."""
    by_task = {each.task: each for each in tasks}
    return Side(
        Input(name, run_id or f"run-of-{name}", f"model {name}", f"results/{name}"),
        {task: each.record for task, each in by_task.items()},
        performance or Performance(),
        lambda task, metric, contents: by_task[task],
    )


def judged(baseline, candidate, **changes):
    """The verdict of the default gate, with changes, on two lists of task scores."""
    return judge_candidate("test", config(**changes), side("candidate", *candidate), [side("main", *baseline)])


def pair_of(task, both, lost, won, neither, **changes):
    """Scores of both sides of a task of right and wrong answers."""
    one, other = outcomes(both, lost, won, neither)
    return scores(task, means(one), **changes), scores(task, means(other), **changes)


def row_of(verdict, name):
    (row,) = (row for row in verdict.rows if row.name == name)
    return row
