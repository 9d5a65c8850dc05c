"""Write two runs of 100 tasks with 14,000 documents each, compare them, and print seconds and peak memory.

    python benchmarks/compare/large_runs.py [--tasks 100] [--documents 14000] [--folder DIR]

One task goes through the writer of real runs; the others are copies of its table with other scores. The comparison runs in a
process of its own, so that its memory is told apart from the writer's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evalharness.request import Document, RequestKey, Sample, Scored
from evalharness.run.record import MetricResult, ModelRecord, Provenance, RunRecord, SampleRecord, TaskRecord
from evalharness.run.samples import SAMPLES_FILE, write_samples
from evalharness.run.store import ResultStore

#: The share of right answers, and of documents that the two runs answer differently.
SHARE, DISCORDANT = 0.7, 0.1
METRICS = ("accuracy", "accuracy_per_byte")


def main() -> None:
    """Write what is missing, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--documents", type=int, default=14_000)
    parser.add_argument("--folder", type=Path, help="where to write the runs (default: a temporary folder)")
    parser.add_argument("--compare", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.compare:
        _compare(*args.compare)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        runs = _write(folder, args.tasks, args.documents)
        subprocess.run([sys.executable, __file__, "--compare", *runs], check=True)


def _compare(baseline: str, candidate: str) -> None:
    """Compare the runs as the command does, once with all metrics and once with the headlines; in a fresh process."""
    begun = time.perf_counter()
    from evalharness.cli.main import main as command

    with tempfile.TemporaryDirectory() as folder:
        for metrics in ("all", "headline"):
            report = str(Path(folder) / "report.json")
            code = command(["compare", baseline, candidate, "--metrics", metrics, "--format", "json", "-o", report])
            seconds, begun = time.perf_counter() - begun, time.perf_counter()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(f"--metrics {metrics}: exit code {code}, {seconds:.2f} s, peak memory {peak:.2f} GiB")


def _write(folder: Path, n_tasks: int, n_documents: int) -> list[str]:
    rng = np.random.default_rng(0)
    right = rng.random((n_tasks, len(METRICS), n_documents)) < SHARE
    changed = right ^ (rng.random(right.shape) < DISCORDANT)
    store = ResultStore(folder)
    return [_write_run(store, model, outcomes) for model, outcomes in (("before", right), ("after", changed))]


def _write_run(store: ResultStore, model: str, outcomes: np.ndarray) -> str:
    """Write a run of (tasks, metrics, documents) outcomes; return its directory."""
    n_documents = outcomes.shape[2]
    names = [f"task_{i:03d}" for i in range(len(outcomes))]
    directory = store.begin(model, {"model": model})
    record = RunRecord(
        run_id=directory.run_id,
        plan_fingerprint=directory.plan_fingerprint,
        created=directory.created,
        finished=directory.created,
        status="complete",
        model=ModelRecord(name=model, identity={"path": model}, spec={}),
        tasks=tuple(_task(name, right) for name, right in zip(names, outcomes, strict=True)),
        provenance=Provenance(python="", platform="", packages={}),
    )
    directory.commit(record, [])
    path = directory.path / SAMPLES_FILE
    write_samples(path, [_sample(i) for i in range(n_documents)])
    table = pq.read_table(path)
    schema = table.schema.with_metadata({b"evalharness.tasks": json.dumps(names)})
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for name, right in zip(names, outcomes, strict=True):
            changed = table.set_column(0, schema.field("task"), pa.array([name] * n_documents))
            at = schema.get_field_index("scores")
            changed = changed.set_column(at, schema.field("scores"), _scores(right, schema.field("scores").type))
            writer.write_table(changed.cast(schema), row_group_size=n_documents)
    return str(directory.path)


def _task(name: str, right: np.ndarray) -> TaskRecord:
    n = right.shape[1]
    metrics = tuple(
        MetricResult(
            name=metric,
            value=float(values.mean()),
            n=n,
            signature=metric,
            unit="fraction",
            higher_is_better=True,
            headline=metric == METRICS[0],
            random_baseline=0.25,
            metric=metric,
            parameters={},
            aggregation="mean",
        )
        for metric, values in zip(METRICS, right, strict=True)
    )
    return TaskRecord(
        name=name,
        fingerprint=name,
        data_hash=name,
        n_documents=n,
        n_scored=n,
        n_failed=0,
        metrics=metrics,
        output="choose",
        version="1",
    )


def _sample(i: int) -> SampleRecord:
    choices = ("one", "two", "three", "four")
    scored = tuple(Scored(RequestKey("task", str(i), slot), -1.5 * slot, 1, 4, slot == 0) for slot in range(4))
    sample = Sample(
        "task",
        Document(str(i), {"question": f"Which number is it, {i}?", "answer": i % 4}, f"{i:064x}"),
        f"Question: Which number is it, {i}?\nAnswer:" * 5,
        (choices[i % 4],),
        (scored,),
        input_hash=hashlib.sha256(str(i).encode()).hexdigest(),
        choices=choices,
        reference_indices=(i % 4,),
    )
    return SampleRecord(sample, dict.fromkeys(METRICS, (0.0, 1.0)))


def _scores(right: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Make a map column of (metrics, documents) outcomes."""
    n_metrics, n = right.shape
    values = np.stack([right.T.astype(float), np.ones((n, n_metrics))], axis=-1).ravel()
    lists = pa.ListArray.from_arrays(np.arange(0, len(values) + 1, 2, dtype=np.int32), pa.array(values))
    offsets = pa.array(np.arange(0, n * n_metrics + 1, n_metrics, dtype=np.int32))
    return pa.MapArray.from_arrays(offsets, pa.array(list(METRICS) * n), lists).cast(kind)


if __name__ == "__main__":
    main()
