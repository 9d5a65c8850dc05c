"""Two sides are joined by fingerprint, document id and input hash, and nothing is dropped silently."""

import dataclasses

import numpy as np
import pytest
from compare_cases import means, result, scores, texts
from hypothesis import given
from hypothesis import strategies as st

from evalharness.compare.pairing import NotComparable, Paired, pair


def test_equal_documents_in_equal_order_pair_row_by_row():
    paired = pair(scores(means([1, 0, 1])), scores(means([0, 0, 1])))
    assert paired.n == 3
    assert paired.baseline_rows[:, 0].tolist() == [1, 0, 1]
    assert paired.candidate_rows[:, 0].tolist() == [0, 0, 1]
    assert paired.left_out.unpaired == 0


@given(st.permutations(range(8)))
def test_the_order_of_the_candidate_does_not_matter(order):
    values = np.arange(8.0)
    candidate = scores(means(values[list(order)] / 10), ids=[str(i) for i in order])
    paired = pair(scores(means(values / 20)), candidate)
    assert isinstance(paired, Paired)
    assert paired.document_ids.tolist() == [str(i) for i in range(8)]
    assert paired.candidate_rows[:, 0].tolist() == (values / 10).tolist()


IDS = st.sets(st.integers(0, 9))


@given(IDS, IDS, IDS, IDS, IDS)
def test_every_document_is_paired_or_told_why_not(baseline, candidate, failed_baseline, failed_candidate, changed):
    def side(ids, failed, suffix):
        kept = sorted(ids - failed)
        hashes = [f"hash {i}{suffix if i in changed else ''}" for i in kept]
        return scores(means(np.ones(len(kept))), ids=map(str, kept), hashes=hashes, failed=[str(i) for i in failed])

    found = pair(
        side(baseline, failed_baseline, ""), side(candidate, failed_candidate, " changed"), on_unpaired="intersect"
    )
    n = found.n if isinstance(found, Paired) else 0
    told = found.left_out
    assert n + told.unpaired + told.failed == len(baseline | candidate | failed_baseline | failed_candidate)


def test_a_changed_input_refuses_the_comparison_and_is_named():
    found = pair(scores(means([1, 0, 1])), scores(means([1, 0, 1]), hashes=["hash 0", "other", "hash 2"]))
    assert isinstance(found, NotComparable)
    assert found.left_out.changed == ("1",)
    assert found.reasons == ("documents: 1 have the same id and another input or content, such as 1",)


def test_documents_in_one_run_alone_refuse_the_comparison_unless_told_to_intersect():
    baseline, candidate = scores(means([1, 0, 1])), scores(means([0, 1, 1]), ids=["1", "2", "3"])
    refused = pair(baseline, candidate)
    assert isinstance(refused, NotComparable)
    assert refused.left_out.only_baseline == ("0",)
    assert refused.left_out.only_candidate == ("3",)
    paired = pair(baseline, candidate, on_unpaired="intersect")
    assert paired.document_ids.tolist() == ["1", "2"]
    assert paired.left_out == refused.left_out


def test_failed_documents_are_left_out_and_counted_on_their_side():
    baseline = scores(means([1, 0]), ids=["0", "1"], failed=["2", "3"])
    candidate = scores(means([1, 1]), ids=["0", "2"], failed=["1", "3"])
    paired = pair(baseline, candidate)
    assert paired.document_ids.tolist() == ["0"]
    assert paired.left_out.failed_baseline == ("2", "3")
    assert paired.left_out.failed_candidate == ("1", "3")
    assert (paired.left_out.failed, paired.left_out.unpaired) == (3, 0)


def test_a_document_that_failed_in_one_run_and_lacks_in_the_other_is_in_one_run_alone():
    found = pair(scores(means([1]), ids=["0"], failed=["1"]), scores(means([1]), ids=["0"]))
    assert isinstance(found, NotComparable)
    assert found.left_out.only_baseline == ("1",)


def test_ids_that_occur_twice_refuse_the_comparison():
    found = pair(scores(means([1, 0]), ids=["0", "0"]), scores(means([1, 0])))
    assert found.reasons[0] == "document ids: some occur twice in the baseline"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fingerprint": "f" * 64}, "task fingerprint: 0694aacb66d6 and ffffffffffff"),
        (
            {"fingerprint": "f" * 64, "version": "2"},
            "task fingerprint: 0694aacb66d6 and ffffffffffff (version 1 and 2)",
        ),
        ({"shots": 5}, "shots: 0 and 5"),
        ({"data_hash": "e" * 64}, "data hash: dddddddddddd and eeeeeeeeeeee"),
    ],
)
def test_a_differing_task_is_named_by_its_field(change, reason):
    found = pair(scores(means([1, 0])), scores(means([1, 0]), **change))
    assert found == NotComparable((reason,))


def test_all_differences_are_told_together():
    rows = means([1, 0])
    other = scores(rows, fingerprint="f", shots=2, result=result(rows, signature="exact_match|other"))
    reasons = pair(scores(rows), other).reasons
    assert [reason.split(":")[0] for reason in reasons] == ["task fingerprint", "shots", "metric signature"]


def test_other_data_pair_where_every_document_kept_its_content():
    rows = means([1, 0, 1])
    contents = ["c0", "c1", "c2"]
    baseline = scores(rows, contents=contents)
    reversed_ = scores(
        rows[::-1], ids=["2", "1", "0"], contents=contents[::-1], data_hash="the same documents in another order"
    )
    assert pair(baseline, reversed_).n == 3
    changed = scores(rows, contents=["c0", "c1", "other"], data_hash="another")
    assert pair(baseline, changed).left_out.changed == ("2",)


def test_sides_without_a_common_document_do_not_compare_even_when_intersecting():
    found = pair(scores(means([1]), ids=["a"]), scores(means([1]), ids=["b"]), on_unpaired="intersect")
    assert found.reasons == ("documents: none was scored in both runs with the same input",)


def test_a_side_on_which_everything_failed_does_not_compare():
    empty = scores(
        np.empty((0, 0)), ids=[], failed=["0", "1"], result=result(means([1]), value=None, absence="none", n=0)
    )
    found = pair(scores(means([1, 0])), empty)
    assert found.reasons == ("documents: none was scored in both runs with the same input",)
    assert found.left_out.failed_candidate == ("0", "1")


def test_clusters_become_indices_and_single_documents_are_none():
    rows = means([1, 0, 1, 1])
    side = scores(rows, clusters=["b", "a", "b", "c"])
    assert pair(side, side).clusters.tolist() == [1, 0, 1, 2]
    alone = scores(rows, clusters=["a", "b", "c", "d"])
    assert pair(alone, alone).clusters is None


def test_clusters_follow_their_documents_into_an_intersection():
    baseline = scores(means([1, 0, 1]), clusters=["x", "y", "y"])
    candidate = dataclasses.replace(scores(means([1, 0]), ids=["2", "1"]), clusters=texts(["y", "y"]))
    paired = pair(baseline, candidate, on_unpaired="intersect")
    assert paired.document_ids.tolist() == ["1", "2"]
    assert paired.clusters.tolist() == [0, 0]
