"""A small finished run, built by hand, that the tests of this folder share."""

from __future__ import annotations

import datetime as dt

from evalharness.request import Document, Failed, Generated, Message, RequestKey, Sample, Scored
from evalharness.run.record import (
    GitState,
    MetricResult,
    ModelRecord,
    Provenance,
    RunRecord,
    SampleRecord,
    TaskRecord,
)
from evalharness.run.store import RunDirectory

PLAN = {"model": {"name": "tiny", "weights": "ab" * 32}, "tasks": {"arithmetic": "f1", "facts": "f2"}, "seed": 0}


def generated(document_id="0", text="Two and two. 4", task="arithmetic"):
    return Generated(RequestKey(task, document_id), text, 5, "eos", n_prompt_tokens=9, token_ids=(7, 8, 9, 10, 2))


def scored(document_id="0", slot=0, logprob=-1.25, task="facts"):
    return Scored(RequestKey(task, document_id, slot), logprob, 2, 6, is_greedy=slot == 0)


def samples():
    arithmetic = [
        SampleRecord(
            Sample(
                "arithmetic",
                Document(str(i), {"question": f"{i} + {i}?", "weight": 0.1}, "c0ffee"),
                f"Question: {i} + {i}?\nAnswer:",
                (str(2 * i),),
                ((generated(str(i), f"It is {2 * i}"),),),
                input_hash=f"hash{i}",
                answers=(str(2 * i),),
                cluster=f"passage{i // 2}",
            ),
            {"exact_match": (1.0, 1.0)},
        )
        for i in range(4)
    ]
    facts = [
        SampleRecord(
            Sample(
                "facts",
                Document("é/1", {"text": "Rome?"}, "beef"),
                (Message("system", "Be brief."), Message("user", "Rome?")),
                ("Italy",),
                ((scored("é/1", 0), scored("é/1", 1, -2.5)),),
                input_hash="h",
                choices=("Italy", "France"),
                reference_indices=(0,),
            ),
            {"accuracy": (1.0, 1.0)},
        ),
        SampleRecord(
            Sample(
                "facts",
                Document("2", {"text": "=1+1"}, "dead"),
                "Paris?",
                ("France",),
                ((Failed(RequestKey("facts", "2"), "too long"),),),
                input_hash="h2",
                choices=("Italy", "France"),
                reference_indices=(1,),
                error="too long",
            ),
            {},
        ),
    ]
    return [*facts, *arithmetic]


def metric(name, value, low, high, **changes):
    fields = {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "level": 0.95,
        "method": "wilson",
        "n": 4,
        "signature": f"{name}|v:1",
        "unit": "fraction",
        "higher_is_better": True,
        "headline": True,
    }
    return MetricResult(**{**fields, **changes})


def record(directory: RunDirectory, **changes):
    fields = {
        "run_id": directory.run_id,
        "plan_fingerprint": directory.plan_fingerprint,
        "created": directory.created,
        "finished": directory.created + dt.timedelta(seconds=12),
        "status": "partial",
        "model": ModelRecord(
            name="tiny",
            identity={"weights": "ab" * 32, "path": "ckpt/tiny"},
            spec={"path": "ckpt/tiny"},
            card={"family": "zoo"},
        ),
        "tasks": (
            TaskRecord(
                name="arithmetic",
                fingerprint="f1",
                data_hash="d1",
                n_documents=4,
                n_scored=4,
                n_failed=0,
                n_truncated=1,
                metrics=(
                    metric("exact_match", 1.0, 0.5101, 1.0),
                    metric("bleu", 31.25, None, None, headline=False, level=None),
                ),
                output="generate",
                version="1",
                shots=2,
                tags=("demo",),
            ),
            TaskRecord(
                name="facts",
                fingerprint="f2",
                data_hash="d2",
                n_documents=2,
                n_scored=1,
                n_failed=1,
                metrics=(
                    metric(
                        "accuracy", None, None, None, n=1, level=None, method=None, absence="one document is too few"
                    ),
                ),
                output="choose",
                version="1",
            ),
        ),
        "settings": {"seed": 0, "limit": None},
        "command": ("run", "--model", "ckpt/tiny", "--tasks", "arithmetic,facts"),
        "provenance": Provenance(
            python="3.11.7",
            platform="Linux",
            packages={"evalharness": "0.1.0"},
            harness_git=GitState(commit="0" * 40, dirty=False),
        ),
        "stages": {"model": 1.5},
        "peak_memory_bytes": 1024,
    }
    return RunRecord(**{**fields, **changes})


def finished_run(store, **changes):
    """Begin, journal and commit the run above; return its directory."""
    directory = store.begin("tiny", PLAN)
    with directory.journal() as journal:
        for each in samples():
            for response in each.sample.responses[0]:
                journal.append(response)
        directory.commit(record(directory, **changes), samples())
    return directory
