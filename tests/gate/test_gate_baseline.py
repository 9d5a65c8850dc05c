"""Baselines: bytes that repeat, checksums that hold, and scores that need no run directory."""

import dataclasses
import datetime as dt
import gzip
import hashlib
import json

import numpy as np
import pytest
from compare_cases import commit, means, outcomes

from evalharness.compare.scores import open_scores
from evalharness.errors import BaselineError, GateError
from evalharness.gate.baseline import accept, read_lock, read_scores, side_of_baseline
from evalharness.gate.config import checked_config, find_config, read_gate_config
from evalharness.gate.gate import judge_candidate
from evalharness.gate.scores_file import decode_scores, encode_scores
from evalharness.gate.sides import MissingBaseline, side_of_run
from evalharness.run.store import ResultStore

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


@pytest.fixture
def lock(tmp_path):
    return tmp_path / ".evalharness" / "baseline.lock.json"


def run_of(store, *counts, model="model", metric="exact_match"):
    """Commit the candidate's side of such outcomes: both, lost, won, neither."""
    return commit(store, model, {f"task{i}": {metric: outcomes(*each)[1]} for i, each in enumerate(counts)})


def accepted(store, lock, run, name="main", reason="because"):
    with open_scores(store, run) as opened:
        return accept(lock, name, opened, reason, NOW)


def test_scores_read_back_are_those_of_the_run(store, lock):
    rows = {"exact_match": means([0.1, 1 / 3, 1e-17, 1.0]), "bleu": np.arange(40.0).reshape(4, 10) + 1}
    run = commit(store, "model", {"task": rows})
    entry = accepted(store, lock, run)
    found = read_scores(lock, "main", entry).tasks["task"]
    with open_scores(store, run) as opened:
        for metric in rows:
            own = opened.scores("task", metric, contents=True)
            np.testing.assert_array_equal(found[metric].rows, own.rows)
            assert found[metric].record == own.record
            assert list(found[metric].document_ids) == list(own.document_ids)


def test_ids_that_are_no_unicode_are_read_back(store):
    with open_scores(store, run_of(store, (2, 0, 0, 0))) as opened:
        odd = np.array(["\ud800", "é"], dtype=object)
        own = opened.scores
        opened.scores = lambda task, metric, contents: dataclasses.replace(own(task, metric), document_ids=odd)
        data = encode_scores(opened)
    found = decode_scores(data, "here", hashlib.sha256(data).hexdigest())
    assert list(found.tasks["task0"]["exact_match"].document_ids) == ["é", "\ud800"]


def test_a_scores_file_has_the_same_bytes_whenever_it_is_written(store, lock, tmp_path):
    run = run_of(store, (5, 1, 1, 3))
    first = accepted(store, lock, run)
    other = tmp_path / "other" / "lock.json"
    assert accepted(store, other, run).sha256 == first.sha256
    data = (lock.parent / first.scores).read_bytes()
    assert data == (other.parent / first.scores).read_bytes()
    assert data[4:8] == b"\0\0\0\0"  # no time in the archive's header


def test_a_scores_file_holds_no_text_of_documents_or_responses(store, lock):
    entry = accepted(store, lock, run_of(store, (5, 1, 1, 3)))
    content = gzip.decompress((lock.parent / entry.scores).read_bytes()).decode()
    for text in ("Question:", "reference 1", "answer 1"):
        assert text not in content


def test_a_candidate_is_judged_against_the_lock_file_alone(store, lock, tmp_path):
    baseline = run_of(store, (800, 0, 0, 519))
    accepted(store, lock, baseline)
    worse = run_of(store, (700, 100, 0, 519))
    config = checked_config(read_gate_config(find_config("default")))
    with open_scores(store, worse) as opened:
        candidate = side_of_run(opened, "candidate")
        locked = judge_candidate("test", config, candidate, [side_of_baseline(lock, "main")])
        with open_scores(store, baseline) as other:
            direct = judge_candidate("test", config, candidate, [side_of_run(other, "main")])
    assert locked.verdict == direct.verdict == "fail"
    assert locked.rows == direct.rows
    assert locked.baselines[0].sha256 == read_lock(lock).baselines["main"].sha256


def test_a_changed_scores_file_is_not_comparable(store, lock):
    entry = accepted(store, lock, run_of(store, (5, 1, 1, 3)))
    file = lock.parent / entry.scores
    content = json.loads(gzip.decompress(file.read_bytes()))
    content["tasks"][0]["rows"]["exact_match"][0][0] = 0.0
    file.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))
    with pytest.raises(BaselineError, match="changed or damaged") as caught:
        side_of_baseline(lock, "main")
    assert caught.value.exit_code == 5


def test_a_missing_scores_file_is_not_comparable(store, lock):
    entry = accepted(store, lock, run_of(store, (5, 1, 1, 3)))
    (lock.parent / entry.scores).unlink()
    with pytest.raises(BaselineError, match="cannot be read"):
        side_of_baseline(lock, "main")


def test_a_file_that_is_no_scores_file_is_an_error_even_if_its_checksum_fits(store, lock):
    entry = accepted(store, lock, run_of(store, (5, 1, 1, 3)))
    for data in (b"", b"x", gzip.compress(b"[]"), gzip.compress(b'{"schema_version": 1}')):
        (lock.parent / entry.scores).write_bytes(data)
        forged = entry.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
        with pytest.raises(BaselineError, match="not a scores file"):
            read_scores(lock, "main", forged)


def test_a_lock_file_never_points_out_of_its_folder(store, lock):
    entry = accepted(store, lock, run_of(store, (5, 1, 1, 3)))
    with pytest.raises(BaselineError, match="elsewhere"):
        read_scores(lock, "main", entry.model_copy(update={"scores": "../other.json.gz"}))


def test_a_lock_file_with_unknown_keys_or_of_a_newer_version_is_an_error(store, lock):
    accepted(store, lock, run_of(store, (5, 1, 1, 3)))
    content = json.loads(lock.read_text())
    for change in ({"schema_version": 2}, {"baselins": {}}):
        lock.write_text(json.dumps({**content, **change}))
        with pytest.raises(GateError):
            read_lock(lock)
    lock.write_text("{")
    with pytest.raises(GateError, match="cannot be read"):
        read_lock(lock)


def test_accepting_needs_a_reason_and_a_plain_name(store, lock):
    run = run_of(store, (5, 1, 1, 3))
    with pytest.raises(GateError, match="--reason"):
        accepted(store, lock, run, reason="  ")
    with pytest.raises(GateError, match="cannot name a baseline"):
        accepted(store, lock, run, name="../main")
    assert not lock.exists()


def test_baselines_of_several_names_live_in_one_lock_file_and_tell_their_former_runs(store, lock):
    runs = [run_of(store, (5, 1, 1, 3)), run_of(store, (6, 1, 1, 2))]
    first = accepted(store, lock, runs[0], reason="first")
    accepted(store, lock, runs[0], name="release", reason="1.0")
    second = accepted(store, lock, runs[1], reason="second")
    baselines = read_lock(lock).baselines
    assert {name: entry.run_id for name, entry in baselines.items()} == {"main": runs[1], "release": runs[0]}
    assert [former.reason for former in second.former] == ["first"]
    assert not (lock.parent / first.scores).exists()
    assert sorted(path.name for path in lock.parent.glob("*.gz")) == sorted(e.scores for e in baselines.values())


def test_history_in_the_lock_file_stays_short(store, lock):
    run = run_of(store, (5, 1, 1, 3))
    for i in range(13):
        entry = accepted(store, lock, run, reason=f"{i}")
    assert [former.reason for former in entry.former] == [str(i) for i in range(11, 1, -1)]


def test_a_lock_file_without_baselines_is_a_missing_baseline_and_an_unknown_name_a_mistake(store, lock):
    assert isinstance(side_of_baseline(lock, "main"), MissingBaseline)
    accepted(store, lock, run_of(store, (5, 1, 1, 3)))
    with pytest.raises(GateError, match="did you mean `main`"):
        side_of_baseline(lock, "mian")


def test_a_baseline_says_what_its_run_measured(store, lock):
    run = run_of(store, (5, 1, 1, 3))
    accepted(store, lock, run)
    with open_scores(store, run) as opened:
        assert side_of_baseline(lock, "main").performance == side_of_run(opened, "x").performance


def test_short_hashes_find_a_changed_document(store, lock):
    accepted(store, lock, run_of(store, (800, 0, 0, 519)))
    config = checked_config(read_gate_config(find_config("default")))
    with open_scores(store, run_of(store, (800, 0, 0, 519))) as opened:
        candidate = side_of_run(opened, "candidate")

        def changed(task, metric, contents):
            found = opened.scores(task, metric, contents=contents)
            hashes = found.input_hashes.copy()
            hashes[3] = "another"
            return dataclasses.replace(found, input_hashes=hashes)

        other = dataclasses.replace(candidate, scores=changed)
        verdict = judge_candidate("test", config, other, [side_of_baseline(lock, "main")])
    assert verdict.verdict == "not comparable"
