"""Make a store of many synthetic runs, to see how the index and the leaderboard bear it.

    python benchmarks/leaderboard/make_store.py DIR --models 1000 --tasks 100
    python benchmarks/leaderboard/make_store.py DIR --models 50 --tasks 20 --documents 1000   with samples

Every model has an ability and every task a difficulty; a value is drawn from them, and its interval is Wilson's. The runs are
written through the store's own functions, so that they are what a real evaluation leaves.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import random
import time
from pathlib import Path

from evalharness.request import Document, Generated, RequestKey, Sample
from evalharness.run.record import (
    GroupRecord,
    Hardware,
    MetricResult,
    ModelRecord,
    Provenance,
    RunRecord,
    SampleRecord,
    TaskRecord,
    TokenTotals,
)
from evalharness.run.store import ResultStore
from evalharness.stats.intervals import Interval, macro_mean, wilson_interval

FAMILIES = ("alder", "birch", "cedar", "damson", "elm", "fir", "ginkgo", "hazel")
SIGNATURE = "exact_match|ignore_case:no|ignore_punctuation:no"


def main() -> None:
    """Write the runs, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--documents", type=int, default=0, help="documents of a task that have stored samples")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    begun = time.perf_counter()
    store = ResultStore(args.root)
    rng = random.Random(args.seed)  # noqa: S311  # the data are synthetic
    difficulties = [rng.gauss(0, 1) for _ in range(args.tasks)]
    for number in range(args.models):
        write_run(store, number, difficulties, args.documents, rng)
        if (number + 1) % 100 == 0:
            print(f"{number + 1} runs, {time.perf_counter() - begun:.0f} s", flush=True)
    print(f"{args.models} runs x {args.tasks} tasks in {time.perf_counter() - begun:.1f} s: {args.root}")


def write_run(store: ResultStore, number: int, difficulties: list[float], n_documents: int, rng: random.Random) -> None:
    """Write one run of a model that no other run has."""
    family = FAMILIES[number % len(FAMILIES)]
    n_parameters = 10 ** rng.uniform(7, 11)
    name = f"{family}-{number:04d}"
    ability = 0.6 * (n_parameters**0.1 - 8) + rng.gauss(0, 0.3)
    directory = store.begin(name, {"number": number})
    tasks, samples = [], []
    for position, difficulty in enumerate(difficulties):
        share = 1 / (1 + 2.718281828 ** (difficulty - ability))
        n = n_documents or 1000
        right = [rng.random() < share for _ in range(n)]
        tasks.append(task_record(position, right))
        if n_documents:
            samples += [sample(tasks[-1], i, is_right, rng) for i, is_right in enumerate(right)]
    created = directory.created + dt.timedelta(seconds=number)
    record = RunRecord(
        run_id=directory.run_id,
        plan_fingerprint=directory.plan_fingerprint,
        created=created,
        finished=created + dt.timedelta(seconds=60),
        status="complete",
        model=model_record(name, family, int(n_parameters), number),
        tasks=tuple(tasks),
        groups=(group_record(tasks),),
        settings={"limit": None, "seed": 0, "level": 0.95},
        command=("run", "-m", name, "-t", "synthetic"),
        provenance=Provenance(
            python="3.11.7",
            platform="linux",
            packages={"evalharness": "0.1.0"},
            hardware=Hardware(processor="synthetic", n_cores=2),
        ),
        stages={"open": 1.0, "model": 50.0, "score": 2.0},
        tokens=TokenTotals(prompt_tokens=10**6, generated_tokens=10**5, tokens_per_second=1e13 / n_parameters),
        peak_memory_bytes=int(n_parameters * 2.2),
    )
    directory.commit(record, samples)


def model_record(name: str, family: str, n_parameters: int, number: int) -> ModelRecord:
    """Return who the model is."""
    weights = hashlib.sha256(name.encode()).hexdigest()
    identity = {"name": name, "backend": "transformers", "path": name, "architecture": "decoder", "dtype": "bfloat16"}
    card = {
        "family": family,
        "parameters": n_parameters,
        "training_tokens": n_parameters * 20,
        "licence": ("Apache-2.0", "MIT", "custom")[number % 3],
        "release_date": str(dt.date(2024, 1, 1) + dt.timedelta(days=number)),
    }
    return ModelRecord(
        name=name,
        identity={**identity, "weights": weights, "n_parameters": n_parameters},
        spec={"name": name},
        card=card,
    )


def task_record(position: int, right: list[bool]) -> TaskRecord:
    """Return one task's result with Wilson's interval."""
    name, n = f"task_{position:03d}", len(right)
    interval = wilson_interval(sum(right), n)
    bounds = interval if isinstance(interval, Interval) else None
    metric = MetricResult(
        name="exact_match",
        value=sum(right) / n,
        low=bounds and bounds.low,
        high=bounds and bounds.high,
        level=0.95,
        method="wilson",
        n=n,
        signature=SIGNATURE,
        unit="fraction",
        higher_is_better=True,
        headline=True,
        random_baseline=0.0,
        metric="exact_match",
        parameters={},
        aggregation="mean",
    )
    digest = hashlib.sha256(name.encode()).hexdigest()
    return TaskRecord(
        name=name,
        fingerprint=digest,
        data_hash=digest,
        n_documents=n,
        n_scored=n,
        n_failed=0,
        metrics=(metric,),
        output="generate",
        version="1",
        description=f"Synthetic task {position}.",
    )


def group_record(tasks: list[TaskRecord]) -> GroupRecord:
    """Return the mean over all tasks."""
    metrics = [task.metrics[0] for task in tasks]
    intervals = [Interval(metric.low or 0.0, metric.high or 0.0, 0.95, "wilson") for metric in metrics]
    mean = macro_mean([metric.value or 0.0 for metric in metrics], intervals)
    bounds = mean.interval if isinstance(mean.interval, Interval) else None
    result = MetricResult(
        name="mean",
        value=mean.value,
        low=bounds and bounds.low,
        high=bounds and bounds.high,
        level=0.95,
        method="macro",
        n=sum(metric.n for metric in metrics),
        signature="mean of headlines|weights:tasks",
        unit="fraction",
        higher_is_better=True,
        headline=True,
    )
    return GroupRecord(name="synthetic", tasks=tuple(task.name for task in tasks), weighting="tasks", metrics=(result,))


def sample(task: TaskRecord, position: int, is_right: bool, rng: random.Random) -> SampleRecord:
    """Return one document's sample, with texts of a few hundred characters."""
    words = " ".join(rng.choices(("river", "stone", "seven", "trains", "leave", "before", "noon", "together"), k=40))
    question = f"{task.name} question {position}: {words}?"
    answer = str(position) if is_right else str(position + 1)
    digest = hashlib.sha256(f"{task.name} {position}".encode()).hexdigest()
    found = Sample(
        task=task.name,
        document=Document(str(position), {"question": question}, digest),
        prompt=f"Question: {question}\nAnswer:",
        references=(str(position),),
        responses=((Generated(RequestKey(task.name, str(position)), f" {answer}", 2, "eos", 80),),),
        input_hash=digest,
        answers=(answer,),
    )
    return SampleRecord(found, {"exact_match": (float(is_right), 1.0)})


if __name__ == "__main__":
    main()
