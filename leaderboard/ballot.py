"""From what a visitor clicked to what is stored: votes and ratings, not faster than a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from evalharness.arena.pairs import Match, Single
from evalharness.arena.store import VoteStore
from evalharness.arena.votes import MOST_REASON_LETTERS, Judgement, Outcome, Rating, Vote, now

#: Votes and rated answers of one voter within a minute; more is refused.
MOST_A_MINUTE = 20

Cast = Literal["stored", "known", "too fast"]

OUTCOME_TEXTS: Mapping[Outcome, str] = {
    "first": "A is better",
    "second": "B is better",
    "tie": "a tie",
    "both_bad": "both are bad",
    "skipped": "skipped",
}


def vote_on(match: Match, voter: str, outcome: Outcome, reason: str) -> Vote:
    """Return the vote on a match, at this moment; a reason of nothing but white space is none."""
    return Vote(
        voter=voter,
        task=match.task,
        input_hash=match.input_hash,
        document_id=match.document_id,
        first_model=match.first.model,
        second_model=match.second.model,
        first_run=match.first.run_id,
        second_run=match.second.run_id,
        outcome=outcome,
        voted=now(),
        reason=reason.strip()[:MOST_REASON_LETTERS] or None,
    )


def ratings_of(single: Single, voter: str, values: Mapping[str, int]) -> list[Rating]:
    """Return the ratings of an answer by criterion, at this moment."""
    return [
        Rating(
            voter=voter,
            task=single.task,
            input_hash=single.input_hash,
            document_id=single.document_id,
            model=single.answer.model,
            run_id=single.answer.run_id,
            criterion=criterion,
            value=value,
            rated=now(),
        )
        for criterion, value in values.items()
    ]


def cast_judgements(store: VoteStore, voter: str, *judgements: Judgement) -> Cast:
    """Store what one voter said, unless it was said before or comes too fast; raises StoreError if it cannot be written."""
    if store.n_recent(voter, 60.0) >= MOST_A_MINUTE:
        return "too fast"
    return "stored" if store.add(*judgements) else "known"
