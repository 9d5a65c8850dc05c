"""`evalharness runs reproduce`: the command that made a run, what has changed since, and whether it gives the same again."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evalharness.errors import EXIT_OK, StoreError
from evalharness.escaping import inert

if TYPE_CHECKING:
    from evalharness.run.record import ModelRecord, RunRecord
    from evalharness.run.store import ResultStore

#: Subcommands that `reproduce --go` may start: a record is data, and must not be able to start anything else.
_REPRODUCIBLE = ("run", "score")


def reproduce_run(args: argparse.Namespace) -> int:
    """Print the command that made a run, warn of what has changed since, and execute it if asked."""
    import subprocess

    from evalharness.run.masking import MASK
    from evalharness.run.store import ResultStore

    record = ResultStore(args.results).load(args.run)
    subcommand = next((argument for argument in record.command if not argument.startswith("-")), None)
    if subcommand not in _REPRODUCIBLE:
        raise StoreError.at(
            args.run, "this record holds no command that evaluates a model", "see `runs show` for its settings"
        )
    for name, (then, now) in _changes(record).items():
        print(inert(f"warning: {name} was {then}, is {now}"), file=sys.stderr)
    print(inert(shlex.join(["evalharness", *record.command])), flush=True)
    if not args.go:
        return EXIT_OK
    if any(MASK in argument for argument in record.command):
        raise StoreError.at(
            args.run,
            f"the command held a secret, which was recorded as {MASK}",
            "type the command, with the secret in its place",
        )
    before = _stored_ids(record)
    # No shell reads the arguments, and the subcommand is one of ours.
    code = subprocess.run([sys.executable, "-m", "evalharness", *record.command], check=False).returncode  # noqa: S603
    for run_id in sorted(_stored_ids(record) - before):
        for line in _verdict(record, _store_of(record).load(run_id)):
            print(inert(line))
    return code


def _store_of(record: RunRecord) -> ResultStore:
    """Open the store that a run's command writes to."""
    from evalharness.run.store import ResultStore

    command = list(record.command)
    return ResultStore(command[command.index("--output") + 1] if "--output" in command else "results")


def _stored_ids(record: RunRecord) -> set[str]:
    return {entry.run_id for entry in _store_of(record).runs() if entry.record is not None}


def _verdict(then: RunRecord, now: RunRecord) -> list[str]:
    """Say whether a run gave the numbers of an earlier one, and what differs if it did not."""
    later = {task.name: task for task in now.tasks}
    lines: list[str] = []
    for task in then.tasks:
        found = later.get(task.name)
        if found is None:
            lines.append(f"differs: task {task.name} is missing")
            continue
        if found.fingerprint != task.fingerprint:
            lines.append(f"differs: task {task.name} was changed since, so that its numbers do not compare")
        if found.data_hash != task.data_hash:
            lines.append(f"differs: the documents of {task.name} were changed since")
        values = {metric.name: metric.value for metric in found.metrics}
        lines += [
            f"differs: {task.name} {metric.name} was {metric.value}, is {values.get(metric.name)}"
            for metric in task.metrics
            if values.get(metric.name) != metric.value
        ]
    n_values = sum(len(task.metrics) for task in then.tasks)
    return lines or [f"reproduced: {n_values} values of {then.run_id} are identical in {now.run_id}"]


def _changes(record: RunRecord) -> Mapping[str, tuple[str, str]]:
    from evalharness.run.provenance import collect, differences

    path = str(record.model.identity.get("path") or "")
    changes = dict(differences(record.provenance, collect(path)))
    for model in (record.model, *(judge.model for judge in record.judges)):
        path = str(model.identity.get("path") or "")
        then, now = model.identity.get("weights"), _weights(model, path)
        if path and then is not None and now != then:
            of = "" if model is record.model else f" of the judge {model.name}"
            changes[f"fingerprint of the weights{of}"] = (str(then), now or "not found at its path")
    return changes


def _weights(model: ModelRecord, path: str) -> str | None:
    from pathlib import Path

    from evalharness.engine.fingerprint import weight_facts, weight_files

    folder = Path(path).expanduser()
    if not path or not folder.is_dir():
        return None
    files = weight_files(folder, allow_pickle=model.spec.get("allow_pickle") is True)
    return weight_facts(files).fingerprint if files else None
