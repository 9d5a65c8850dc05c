"""Which documents two runs have in common: paired by task fingerprint, document id and input hash, never by position alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from evalharness.compare.scores import FloatArray, TaskScores, TextArray

#: What to do with documents that are not in both runs with the same input: refuse to compare, or compare the others.
OnUnpaired = Literal["error", "intersect"]

_SHOWN_HASH = 12
_SHOWN_IDS = 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The ids of documents that two sides do not share, each tuple in ascending order.

    changed: in both, but asked or defined differently. only_baseline, only_candidate: in one run alone.
    failed_baseline, failed_candidate: in both runs, but not scored in this one; a document that failed in both stands in both.
    """

    changed: tuple[str, ...] = ()
    only_baseline: tuple[str, ...] = ()
    only_candidate: tuple[str, ...] = ()
    failed_baseline: tuple[str, ...] = ()
    failed_candidate: tuple[str, ...] = ()

    @property
    def unpaired(self) -> int:
        """How many documents one run has, and the other has not or has differently: what `OnUnpaired` is about."""
        return len(self.changed) + len(self.only_baseline) + len(self.only_candidate)

    @property
    def failed(self) -> int:
        """How many documents failed on either side; they are never compared, and always told."""
        return len({*self.failed_baseline, *self.failed_candidate})


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """The n documents that both sides scored with the same input, in the baseline's order.

    baseline, candidate: the sides as they were. document_ids: (n,). baseline_rows, candidate_rows: (n, k), row i of both from
    document_ids[i]. clusters: (n,) indices from 0, None where documents are independent. left_out: what is not among the n.
    """

    baseline: TaskScores
    candidate: TaskScores
    document_ids: TextArray
    baseline_rows: FloatArray
    candidate_rows: FloatArray
    clusters: npt.NDArray[np.intp] | None
    left_out: LeftOut

    @property
    def n(self) -> int:
        """How many documents are paired; at least 1."""
        return len(self.document_ids)


@dataclass(frozen=True, slots=True)
class NotComparable:
    """Two sides that cannot be compared: each reason is a sentence that begins with what differs.

    left_out: which documents stood in the way, where it came to that.
    """

    reasons: tuple[str, ...]
    left_out: LeftOut = LeftOut()


def pair(baseline: TaskScores, candidate: TaskScores, *, on_unpaired: OnUnpaired = "error") -> Paired | NotComparable:
    """Join two sides of one task and metric by document id and input hash, or say why they cannot be joined.

    Task fingerprint, shots, metric signature, unit and direction must be equal. Where the data hashes differ, a document's
    content must be equal too. on_unpaired: ``error`` refuses sides of which any document is in one run alone or was changed;
    ``intersect`` compares the others, and `left_out` tells which are missing. Documents that failed on either side are left
    out under both: whoever decides on the outcome must look at `LeftOut.failed`.
    """
    reasons = _differing(baseline, candidate)
    if reasons:
        return NotComparable(tuple(reasons))
    if _same_order(baseline, candidate):
        keep = np.arange(len(baseline.document_ids))
        return _paired(baseline, candidate, keep, keep, LeftOut())
    places = tuple({document: i for i, document in enumerate(side.document_ids)} for side in (baseline, candidate))
    left_out, shared = _match(baseline, candidate, *places)
    if on_unpaired == "error" and left_out.unpaired:
        return NotComparable(tuple(_said(left_out)), left_out)
    if not shared:
        return NotComparable(("documents: none was scored in both runs with the same input",), left_out)
    at_baseline, at_candidate = (np.array([place[document] for document in shared]) for place in places)
    return _paired(baseline, candidate, at_baseline, at_candidate, left_out)


def _differing(baseline: TaskScores, candidate: TaskScores) -> list[str]:
    """Name every field that must agree and does not."""
    one, other = baseline.record, candidate.record
    reasons = []
    if one.fingerprint != other.fingerprint:
        why = _said_pair("version", one.version, other.version) or _said_pair("output", one.output, other.output)
        reasons.append(f"task fingerprint: {_short(one.fingerprint)} and {_short(other.fingerprint)}{why}")
    if one.shots != other.shots:
        reasons.append(f"shots: {one.shots} and {other.shots}")
    for name, first, second in (
        ("metric signature", baseline.result.signature, candidate.result.signature),
        ("unit", baseline.result.unit, candidate.result.unit),
        ("direction", *(_direction(side.result.higher_is_better) for side in (baseline, candidate))),
    ):
        if first != second:
            reasons.append(f"{name}: {first} and {second}")
    if len(baseline.rows) and len(candidate.rows) and baseline.rows.shape[1:] != candidate.rows.shape[1:]:
        reasons.append(f"statistics a document: {baseline.rows.shape[1]} and {candidate.rows.shape[1]}")
    for name, side in (("baseline", baseline), ("candidate", candidate)):
        if len(set(side.document_ids)) < len(side.document_ids):
            reasons.append(f"document ids: some occur twice in the {name}")
    contents_known = baseline.content_hashes is not None and candidate.content_hashes is not None
    if one.data_hash != other.data_hash and not contents_known:
        reasons.append(f"data hash: {_short(one.data_hash)} and {_short(other.data_hash)}")
    return reasons


def _direction(higher_is_better: bool) -> str:
    return "higher is better" if higher_is_better else "lower is better"


def _said_pair(name: str, first: str, second: str) -> str:
    return "" if first == second else f" ({name} {first} and {second})"


def _short(fingerprint: str) -> str:
    return fingerprint[:_SHOWN_HASH]


def _same_order(baseline: TaskScores, candidate: TaskScores) -> bool:
    """Say whether both sides scored the same documents in the same order, and nothing failed: by far the most common case."""
    return (
        baseline.record.data_hash == candidate.record.data_hash
        and not (baseline.failed_ids or candidate.failed_ids)
        and len(baseline.document_ids) > 0
        and np.array_equal(baseline.document_ids, candidate.document_ids)
        and np.array_equal(baseline.input_hashes, candidate.input_hashes)
    )


def _match(
    baseline: TaskScores, candidate: TaskScores, at_baseline: dict[str, int], at_candidate: dict[str, int]
) -> tuple[LeftOut, list[str]]:
    """Return what is left out, and the ids that pair in the baseline's order."""
    in_baseline, in_candidate = ({*side.document_ids, *side.failed_ids} for side in (baseline, candidate))
    both = in_baseline & in_candidate
    scored = [document for document in baseline.document_ids if document in at_candidate]
    columns = [(baseline.input_hashes, candidate.input_hashes)]
    if baseline.record.data_hash != candidate.record.data_hash:
        columns += [(baseline.content_hashes, candidate.content_hashes)]  # type: ignore[list-item]  # seen to be known
    changed = {
        document
        for document in scored
        for first, second in columns
        if first[at_baseline[document]] != second[at_candidate[document]]
    }
    left_out = LeftOut(
        changed=tuple(sorted(changed)),
        only_baseline=tuple(sorted(in_baseline - in_candidate)),
        only_candidate=tuple(sorted(in_candidate - in_baseline)),
        failed_baseline=tuple(sorted(baseline.failed_ids & both)),
        failed_candidate=tuple(sorted(candidate.failed_ids & both)),
    )
    return left_out, [document for document in scored if document not in changed]


def _said(left_out: LeftOut) -> list[str]:
    parts = (
        (left_out.changed, "have the same id and another input or content"),
        (left_out.only_baseline, "are in the baseline alone"),
        (left_out.only_candidate, "are in the candidate alone"),
    )
    return [f"documents: {len(ids)} {what}, such as {_some(ids)}" for ids, what in parts if ids]


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN_IDS])


def _paired(
    baseline: TaskScores,
    candidate: TaskScores,
    at_baseline: npt.NDArray[np.intp],
    at_candidate: npt.NDArray[np.intp],
    left_out: LeftOut,
) -> Paired:
    clusters = None
    if baseline.clusters is not None:
        labels, groups = np.unique(baseline.clusters[at_baseline].astype(str), return_inverse=True)
        clusters = groups.astype(np.intp) if len(labels) < len(groups) else None
    return Paired(
        baseline,
        candidate,
        baseline.document_ids[at_baseline],
        baseline.rows[at_baseline],
        candidate.rows[at_candidate],
        clusters,
        left_out,
    )
