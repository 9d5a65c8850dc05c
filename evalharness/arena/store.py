"""The store of judgements: append-only, one vote per voter, document and pair, kept by the database itself.

Votes cannot be made again as an index can, so they lie beside the runs (`<results>/arena/votes.sqlite`) or in a database that
is looked after, never in a cache. Nothing is ever changed or deleted: the tables refuse it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalharness.arena.database import Connection, Database
from evalharness.arena.votes import Judgement, Rating, Vote
from evalharness.errors import Problem, StoreError

VOTES_VARIABLE = "EVALHARNESS_VOTES"

_VOTE = tuple(field.name for field in dataclasses.fields(Vote))
_RATING = tuple(field.name for field in dataclasses.fields(Rating))
_MOST_PROBLEMS = 20


class VoteStore:
    """The judgements in one database; made by `open_votes`. Threads and processes may share it."""

    def __init__(self, where: str | Path) -> None:
        self._database = Database(where)

    @property
    def shown(self) -> str:
        """Where the votes lie, without passwords."""
        return self._database.shown

    def add(self, *judgements: Judgement) -> int:
        """Store judgements, all or none, and return how many of them are new.

        A voter's second vote on the same pair and document is not stored, nor a second rating of the same answer by the
        same criterion. Raises StoreError when they cannot be written.
        """
        with self._database.writing() as connection:
            return sum(_insert(connection, each) for each in judgements)

    def merge(self, judgements: Iterable[Judgement]) -> tuple[int, int]:
        """Store an export, all or nothing; return how many judgements are new, and how many were there already.

        Raises StoreError, and stores nothing, where a voter is said to have judged otherwise than is stored.
        """
        n_new, n_known = 0, 0
        problems: list[Problem] = []
        with self._database.writing() as connection:
            for each in judgements:
                if _insert(connection, each):
                    n_new += 1
                elif _find(connection, each) == each:
                    n_known += 1
                else:
                    where = f"{each.voter}, {each.task}, document {each.document_id}"
                    problems.append(Problem(where, "another judgement of the same voter is stored already"))
            if problems:
                shown = problems[:_MOST_PROBLEMS]
                if len(problems) > len(shown):
                    shown.append(Problem("", f"... and {len(problems) - len(shown)} more"))
                raise StoreError(shown)
        return n_new, n_known

    def votes(self) -> list[Vote]:
        """Return all votes, oldest first, the skipped pairs too."""
        order = "voted, voter, task, input_hash, one_model, other_model"
        return [Vote(*row) for row in self._rows(f"SELECT {', '.join(_VOTE)} FROM arena_vote ORDER BY {order}")]  # noqa: S608

    def ratings(self) -> list[Rating]:
        """Return all ratings of single answers, oldest first."""
        order = "rated, voter, task, input_hash, model, criterion"
        return [Rating(*row) for row in self._rows(f"SELECT {', '.join(_RATING)} FROM arena_rating ORDER BY {order}")]  # noqa: S608

    def judgements(self) -> list[Judgement]:
        """Return everything: votes, then ratings."""
        return [*self.votes(), *self.ratings()]

    def judged_documents(self, voter: str, task: str, pair: tuple[str, str]) -> frozenset[str]:
        """Return the `input_hash`es of the documents on which this voter has judged, or skipped, this pair of models."""
        query = "SELECT input_hash FROM arena_vote WHERE voter = ? AND task = ? AND one_model = ? AND other_model = ?"
        return frozenset(row[0] for row in self._rows(query, (voter, task, *sorted(pair))))

    def rated_documents(self, voter: str, task: str, model: str) -> frozenset[str]:
        """Return the `input_hash`es of the documents on which this voter has rated this model's answer."""
        query = "SELECT DISTINCT input_hash FROM arena_rating WHERE voter = ? AND task = ? AND model = ?"
        return frozenset(row[0] for row in self._rows(query, (voter, task, model)))

    def pair_counts(self) -> Mapping[tuple[str, str], tuple[int, int, int]]:
        """Return for each pair of models, in alphabetical order: wins of the one, ties (both bad too), wins of the other."""
        query = """
        SELECT one_model, other_model,
            SUM(CASE WHEN (outcome = 'first' AND first_model = one_model)
                OR (outcome = 'second' AND second_model = one_model) THEN 1 ELSE 0 END),
            SUM(CASE WHEN outcome IN ('tie', 'both_bad') THEN 1 ELSE 0 END),
            COUNT(*)
        FROM arena_vote WHERE outcome <> 'skipped' GROUP BY one_model, other_model
        """
        return {
            (one, other): (int(wins), int(ties), int(n) - int(wins) - int(ties))
            for one, other, wins, ties, n in self._rows(query)
        }

    def n_recent(self, voter: str, seconds: float) -> int:
        """Return how many votes and rated answers of a voter are younger than that: what a rate limit asks."""
        since = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
        votes = self._rows("SELECT COUNT(*) FROM arena_vote WHERE voter = ? AND voted > ?", (voter, since))
        rated = self._rows(
            "SELECT COUNT(*) FROM (SELECT DISTINCT task, input_hash, model FROM arena_rating"
            " WHERE voter = ? AND rated > ?) AS answers",
            (voter, since),
        )
        return sum(int(row[0]) for row in (*votes, *rated))

    def version(self) -> str:
        """Return a text that changes with every judgement: rows are only ever added, so their number is enough."""
        rows = self._rows("SELECT (SELECT COUNT(*) FROM arena_vote), (SELECT COUNT(*) FROM arena_rating)")
        return "-".join(str(count) for row in rows for count in row)

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._database.reading() as connection:
            return [] if connection is None else connection.rows(sql, parameters)


def open_votes(results: str, where: str | Path | None = None) -> VoteStore:
    """Return the store of votes on the runs under `results`.

    where: a SQLite file or a ``postgresql://`` URL; by default what the environment variable EVALHARNESS_VOTES names, else
    `<results>/arena/votes.sqlite`. Raises StoreError where results are remote and no place is named.
    """
    named = where or os.environ.get(VOTES_VARIABLE)
    if named:
        return VoteStore(named)
    if "://" in results:
        fix = f"set {VOTES_VARIABLE} to a file, or to postgresql://USER@HOST/DATABASE"
        raise StoreError.at(results, "votes cannot be kept in an object store", fix)
    return VoteStore(Path(results) / "arena" / "votes.sqlite")


def _insert(connection: Connection, judgement: Judgement) -> int:
    values = [getattr(judgement, name) for name in (_VOTE if isinstance(judgement, Vote) else _RATING)]
    names: tuple[str, ...] = _RATING
    table = "arena_rating"
    if isinstance(judgement, Vote):
        table, names = "arena_vote", (*_VOTE, "one_model", "other_model")
        values += judgement.pair
    marks = ", ".join("?" * len(names))
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608  # our names
    return connection.change(sql, values)


def _find(connection: Connection, judgement: Judgement) -> Judgement | None:
    head = (judgement.voter, judgement.task, judgement.input_hash)
    if isinstance(judgement, Vote):
        sql = f"SELECT {', '.join(_VOTE)} FROM arena_vote WHERE voter = ? AND task = ? AND input_hash = ?"  # noqa: S608
        rows = connection.rows(f"{sql} AND one_model = ? AND other_model = ?", (*head, *judgement.pair))
        return Vote(*rows[0]) if rows else None
    sql = f"SELECT {', '.join(_RATING)} FROM arena_rating WHERE voter = ? AND task = ? AND input_hash = ?"  # noqa: S608
    found = connection.rows(f"{sql} AND model = ? AND criterion = ?", (*head, judgement.model, judgement.criterion))
    return Rating(*found[0]) if found else None
