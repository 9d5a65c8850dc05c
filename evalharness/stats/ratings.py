"""Ratings from paired comparisons: the model of Bradley and Terry, with ties, voters, position and covariates.

Sources: Bradley and Terry 1952, "Rank analysis of incomplete block designs", Biometrika 39; Davidson 1970, "On extending the
Bradley-Terry model to accommodate ties in paired comparison experiments", JASA 65; Ford 1957, "Solution of a ranking problem
from binary comparisons", American Mathematical Monthly 64 (when a maximum exists); Huber 1967 and White 1982, "Maximum
likelihood estimation of misspecified models", Econometrica 50 (the sandwich); Chiang et al. 2024, "Chatbot Arena",
arXiv:2403.04132 (the sandwich for ratings of language models).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from evalharness.stats.comparison_likelihood import (
    Cells,
    IndexArray,
    Likelihood,
    TieModel,
    VoterScores,
    gauged,
    is_identified,
    maximise,
)
from evalharness.stats.intervals import ROUNDING, Absent, ClusterArray, FloatArray, Interval

BoolArray = npt.NDArray[np.bool_]

#: Elo points a logit: a difference of 400 points is odds of 10 to 1.
ELO_POINTS = 400 / math.log(10)


@dataclass(frozen=True, slots=True)
class Votes:
    """One preference a row, models by index.

    first, second: (n,) models, in the order in which they were shown. outcomes: (n,) 1 where the first won, 0.5 for a tie
    ("both bad" is one), 0 where the second won. voters: (n,) indices of who voted. covariates: (n, k) differences between
    the first answer and the second, such as their normalised difference in length, 0 where they are alike.
    """

    first: IndexArray
    second: IndexArray
    outcomes: FloatArray
    voters: ClusterArray | None = None
    covariates: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What one unit of a covariate adds to the log-odds of winning; no standard error where the votes show no spread."""

    value: float
    standard_error: float | None


@dataclass(frozen=True, slots=True)
class Ratings:
    """Strengths of M models, and how well they are known.

    strengths: (M,) in logits or Elo points. covariance: (M, M) of the strengths, so that differences have standard errors;
    NaN in rows and columns of models whose spread is unknown. absences: for each model why it has no interval, or None.
    n_comparisons: (M,). tie_effect: log nu of Davidson's model. first_effect: the advantage of being shown first.
    covariate_effects: one a covariate. All effects are in logits. virtual_ties: whether the data alone fix no maximum, so
    that every model was given one tie in all, shared equally among all others. n_voters: None if votes count as independent.
    """

    strengths: FloatArray
    covariance: FloatArray
    absences: tuple[str | None, ...]
    n_comparisons: FloatArray
    unit: Literal["logit", "elo"] = "logit"
    tie_effect: Effect | None = None
    first_effect: Effect | None = None
    covariate_effects: tuple[Effect, ...] = ()
    virtual_ties: bool = False
    n_voters: int | None = None

    @property
    def freedom(self) -> float:
        """Degrees of freedom of Student's t for these standard errors: one less than voters, else infinite."""
        return math.inf if self.n_voters is None else self.n_voters - 1

    def intervals(self, *, level: float = 0.95) -> tuple[Interval | Absent, ...]:
        """Return each model's normal interval, or Student's where votes are clustered by voter.

        Do not compare models by these: `ranks.rank_sets` does, with covariance and freedom, and for all pairs at once.
        """
        if not 0 < level < 1:
            raise ValueError(f"a level lies between 0 and 1, such as 0.95, not {level}")
        quantile = float(stats.t.ppf((1 + level) / 2, self.freedom)) if self.freedom > 0 else math.nan
        method = "sandwich" if self.n_voters is None else "cluster-sandwich"
        found: list[Interval | Absent] = []
        for strength, variance, reason in zip(self.strengths, np.diag(self.covariance), self.absences, strict=True):
            half = quantile * math.sqrt(variance)
            bounds = Interval(float(strength - half), float(strength + half), level, method)
            found.append(bounds if reason is None else Absent(reason))
        return tuple(found)


def bradley_terry(
    wins: FloatArray,
    tied: FloatArray | None = None,
    *,
    ties: TieModel = "half",
    unconnected: Literal["absent", "virtual-tie"] = "absent",
) -> Ratings | Absent:
    """Maximum-likelihood strengths from counts, with sandwich covariance; P(i beats j) = 1 / (1 + exp(s_j - s_i)).

    wins: (M, M), wins[i, j] counts how often i beat j. tied: (M, M) symmetric, tied[i, j] counts ties of i and j.
    ties: "half" counts a tie as half a win each, which shrinks strengths where ties are many; "davidson" gives ties a
    probability of their own, nu sqrt(p_i p_j) / (p_i + p_j + nu sqrt(p_i p_j)) with p = exp(s).
    unconnected: a maximum exists only if, for every split of the models in two, each part has beaten or tied the other
    (Ford's condition). Where not, the answer is `Absent`, or with "virtual-tie" one that a weak prior makes finite: models
    outside the largest connected set then have no interval.
    Comparisons are taken as independent; where people voted several times, use `bradley_terry_of_votes` with voters.
    Raises ValueError if the counts are no counts, or `tied` is not symmetric.
    """
    cells = _cells_of_counts(wins, np.zeros_like(wins) if tied is None else tied)
    return _fit(_Question(cells, len(wins), ties, unconnected), None)


def bradley_terry_of_votes(
    votes: Votes,
    n_models: int,
    *,
    ties: TieModel = "half",
    first_effect: bool = False,
    unconnected: Literal["absent", "virtual-tie"] = "absent",
) -> Ratings | Absent:
    """Maximum-likelihood strengths from single votes: as `bradley_terry`, and with voters, position and covariates.

    With voters the sandwich sums scores within each voter (CR1, times G / (G - 1)), since votes of one person are not
    independent; with fewer than 20 to 50 voters it is too narrow. first_effect adds an intercept to the first model's log-odds.
    Covariates are used as they are given: centre and scale them beforehand if effects are to be compared.
    Raises ValueError if arrays differ in length, indices are out of range, or outcomes are other than 0, 0.5 and 1.
    """
    _check_votes(votes, n_models)
    n = len(votes.first)
    columns = [] if votes.covariates is None else list(votes.covariates.T)
    extra = np.column_stack([*([np.ones(n)] if first_effect else []), *columns]) if first_effect or columns else None
    outcomes = np.rint(2 - 2 * votes.outcomes).astype(np.intp)
    if votes.covariates is None:
        pairs, members = np.unique(votes.first * n_models + votes.second, return_inverse=True)
    else:
        pairs, members = votes.first * n_models + votes.second, np.arange(n)
    counts = np.zeros((len(pairs), 3))
    np.add.at(counts, (members, outcomes), 1)
    covariates = np.zeros((len(pairs), 0 if extra is None else extra.shape[1]))
    if extra is not None:
        covariates[members] = extra
    cells = Cells(pairs // n_models, pairs % n_models, covariates, counts)
    voters = None if votes.voters is None else VoterScores(votes.voters, members, outcomes)
    return _fit(_Question(cells, n_models, ties, unconnected, first_effect), voters)


def elo_ratings(ratings: Ratings, *, anchor: int | None = None, points: float = 1000.0) -> Ratings:
    """Return ratings in Elo points, 400 / ln 10 a logit, the mean at `points`, or the model `anchor` where one is given.

    With an anchor all spread is relative to it: it has no interval itself, and the others' are those of differences to it.
    Raises ValueError if the ratings are not in logits or the anchor's spread is unknown.
    """
    if ratings.unit != "logit":
        raise ValueError("the ratings are in Elo points already")
    strengths, covariance, absences = ratings.strengths, ratings.covariance, ratings.absences
    if anchor is not None:
        if absences[anchor] is not None:
            raise ValueError(f"model {anchor} cannot be the anchor: {absences[anchor]}")
        row = covariance[anchor]
        covariance = covariance - row[:, None] - row[None, :] + row[anchor]
        strengths = strengths - strengths[anchor]
        absences = (*absences[:anchor], "the scale is anchored at this model", *absences[anchor + 1 :])
    return replace(
        ratings,
        strengths=points + ELO_POINTS * strengths,
        covariance=ELO_POINTS**2 * covariance,
        absences=absences,
        unit="elo",
    )


def connected_sets(wins: FloatArray) -> IndexArray:
    """Return (M,) labels: equal where two models are linked by chains of wins in both directions; (M, M) wins or ties."""
    _, labels = sparse.csgraph.connected_components(sparse.csr_array(wins > 0), directed=True, connection="strong")
    found: IndexArray = labels.astype(np.intp)
    return found


@dataclass(frozen=True, slots=True)
class _Question:
    """What is to be fitted."""

    cells: Cells
    n_models: int
    ties: TieModel
    unconnected: Literal["absent", "virtual-tie"]
    first_effect: bool = False


def _fit(question: _Question, voters: VoterScores | None) -> Ratings | Absent:
    cells, m = question.cells, question.n_models
    reason = _no_maximum(question)
    if reason is not None:
        return Absent(reason)
    labels = connected_sets(_beaten(cells, m))
    unconnected = int(labels.max()) > 0
    if unconnected and question.unconnected == "absent":
        largest = int(np.bincount(labels).max())
        return Absent(
            f"the models fall into {labels.max() + 1} sets (the largest has {largest} of {m}) without wins in both "
            "directions between them, so some differences have no finite estimate"
        )
    used = _with_virtual_ties(cells, m) if unconnected else cells
    likelihood = Likelihood(used, used.design(m), question.ties)
    if cells.covariates.shape[1] and not is_identified(likelihood, m):
        return Absent("a covariate is constant or a combination of the others and the models, so its effect is unknown")
    parameters = maximise(likelihood, m)
    if parameters is None:
        return Absent("the likelihood has no finite maximum: a covariate or the position decides who wins")
    inside = labels == np.argmax(np.bincount(labels))
    covariance = _sandwich(likelihood, parameters, cells, voters, m)
    return _ratings(question, parameters, covariance, inside, voters)


def _no_maximum(question: _Question) -> str | None:
    counts = question.cells.counts.sum(axis=0)
    if question.n_models < 2 or counts.sum() == 0:
        return "there are no comparisons of two models"
    if question.ties == "davidson" and counts[1] == 0:
        return "there are no ties, so Davidson's tie parameter has no finite estimate; count ties as half"
    if question.ties == "davidson" and counts[1] == counts.sum():
        return "there are only ties, so Davidson's tie parameter has no finite estimate"
    return None


def _sandwich(
    likelihood: Likelihood, parameters: FloatArray, cells: Cells, voters: VoterScores | None, n_models: int
) -> FloatArray | Absent:
    """H^-1 J H^-1 in all parameters; J of the observed comparisons only, which come first among the cells."""
    _, information = likelihood.gradient_and_information(parameters)
    if voters is None:
        observed = np.zeros_like(likelihood.cells.counts)
        observed[: len(cells.counts)] = cells.counts
        middle = likelihood.score_products(parameters, observed)
    elif len(np.unique(voters.voters)) < 2:
        return Absent("a single voter shows no spread")
    else:
        middle = likelihood.clustered_score_products(parameters, voters)
    inverse = np.linalg.inv(gauged(information, n_models))
    return inverse @ middle @ inverse


def _ratings(
    question: _Question,
    parameters: FloatArray,
    covariance: FloatArray | Absent,
    inside: BoolArray,
    voters: VoterScores | None,
) -> Ratings:
    m, cells = question.n_models, question.cells
    absences = _absences(inside)
    pool = inside if inside.sum() > 1 else np.ones(m, dtype=bool)
    # the mean over the pool is 0: models whose spread is unknown must not blur the others
    centring = np.eye(m) - pool / pool.sum()
    strengths = centring @ parameters[:m]
    if isinstance(covariance, Absent):
        spread, absences = np.full((m, m), np.nan), [covariance.reason] * m
        errors: list[float | None] = [None] * (len(parameters) - m)
    else:
        spread = centring @ covariance[:m, :m] @ centring.T
        errors = [math.sqrt(variance) if variance > ROUNDING else None for variance in np.diag(covariance)[m:]]
        for i in np.flatnonzero(np.diag(spread) <= ROUNDING):
            absences[i] = absences[i] or "its comparisons show no spread"
        unknown = np.array([reason is not None for reason in absences])
        spread[unknown, :] = spread[:, unknown] = np.nan
    effects = [Effect(float(value), error) for value, error in zip(parameters[m:], errors, strict=True)]
    tie_effect = effects.pop() if question.ties == "davidson" else None
    first_effect = effects.pop(0) if question.first_effect else None
    compared = np.bincount(np.concatenate([cells.first, cells.second]), np.tile(cells.counts.sum(axis=1), 2), m)
    return Ratings(
        strengths=strengths,
        covariance=spread,
        absences=tuple(absences),
        n_comparisons=compared.astype(np.float64),
        tie_effect=tie_effect,
        first_effect=first_effect,
        covariate_effects=tuple(effects),
        virtual_ties=not inside.all(),
        n_voters=None if voters is None else len(np.unique(voters.voters)),
    )


def _absences(inside: BoolArray) -> list[str | None]:
    if inside.sum() == 1:
        return ["no two models are linked by wins in both directions"] * len(inside)
    return [
        None if known else "outside the largest set of models linked by wins in both directions" for known in inside
    ]


def _beaten(cells: Cells, n_models: int) -> FloatArray:
    found = np.zeros((n_models, n_models))
    np.add.at(found, (cells.first, cells.second), cells.counts[:, 0] + cells.counts[:, 1])
    np.add.at(found, (cells.second, cells.first), cells.counts[:, 2] + cells.counts[:, 1])
    return found


def _with_virtual_ties(cells: Cells, n_models: int) -> Cells:
    first, second = np.triu_indices(n_models, 1)
    counts = np.zeros((len(first), 3))
    counts[:, 1] = 1 / (n_models - 1)
    return Cells(
        np.concatenate([cells.first, first]),
        np.concatenate([cells.second, second]),
        np.concatenate([cells.covariates, np.zeros((len(first), cells.covariates.shape[1]))]),
        np.concatenate([cells.counts, counts]),
    )


def _cells_of_counts(wins: FloatArray, tied: FloatArray) -> Cells:
    for counts in (wins, tied):
        if counts.ndim != 2 or counts.shape != (len(wins), len(wins)):
            raise ValueError("wins and ties are square matrices, models by models")
        if not (np.isfinite(counts).all() and (counts >= 0).all()) or np.diag(counts).any():
            raise ValueError("wins and ties are counts, with zeros on the diagonal")
    if not np.array_equal(tied, tied.T):
        raise ValueError("the matrix of ties must be symmetric")
    first, second = np.nonzero(np.triu(wins + wins.T + tied, 1))
    counts = np.stack([wins[first, second], tied[first, second], wins[second, first]], axis=1).astype(np.float64)
    return Cells(first, second, np.zeros((len(first), 0)), counts)


def _check_votes(votes: Votes, n_models: int) -> None:
    n = len(votes.first)
    others = [votes.second, votes.outcomes, votes.voters, votes.covariates]
    if any(other is not None and len(other) != n for other in others):
        raise ValueError("the arrays of votes differ in length")
    models = np.concatenate([votes.first, votes.second])
    if n and (models.min() < 0 or models.max() >= n_models or (votes.first == votes.second).any()):
        raise ValueError(f"a vote compares two different models with indices below {n_models}")
    if not np.isin(votes.outcomes, (0, 0.5, 1)).all():
        raise ValueError("an outcome is 1 (the first won), 0.5 (a tie) or 0 (the second won)")
    if votes.covariates is not None and not np.isfinite(votes.covariates).all():
        raise ValueError("covariates are finite numbers")
