"""The likelihood of paired comparisons: outcomes given strengths, its maximum, and its sandwich covariance.

`ratings` asks it; here are no models by name, no gauge and no scale, only cells of counts and a vector of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from evalharness.stats.intervals import ClusterArray, FloatArray

TieModel = Literal["half", "davidson"]
IndexArray = npt.NDArray[np.intp]

_MAX_STEPS = 100
#: Newton's method converges quadratically: after a step this small the next would be below rounding.
_SMALL_STEP = 1e-8
#: Correlation matrices of the parameters have no smaller eigenvalue unless two parameters mean the same.
_SINGULAR = 1e-10


@dataclass(frozen=True, slots=True)
class Cells:
    """Comparisons with equal models and covariates, counted.

    first, second: (c,) indices of models; covariates: (c, k); counts: (c, 3) wins of the first, ties, wins of the second.
    """

    first: IndexArray
    second: IndexArray
    covariates: FloatArray
    counts: FloatArray

    def design(self, n_models: int) -> sparse.csr_array:
        """Return the (c, M + k) matrix that maps strengths and effects to the first model's log-odds of winning."""
        c, k = len(self.first), self.covariates.shape[1]
        rows = np.arange(c)
        columns = np.concatenate([self.first, self.second, np.repeat(np.arange(k) + n_models, c)])
        values = np.concatenate([np.ones(c), -np.ones(c), self.covariates.T.ravel()])
        return sparse.csr_array((values, (np.tile(rows, 2 + k), columns)), shape=(c, n_models + k))


@dataclass(frozen=True, slots=True)
class VoterScores:
    """Who cast which vote: (n,) voters, the cell of each vote, and its outcome, 0 to 2 as the columns of the counts."""

    voters: ClusterArray
    cells: IndexArray
    outcomes: IndexArray


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """Per cell, for each outcome: log-probability and scores; and the information of one comparison."""

    log_probability: FloatArray  # (c, 3)
    score: FloatArray  # (c, 3) in the log-odds
    tie_score: FloatArray  # (c, 3) in the tie parameter
    information: FloatArray  # (c, 3): log-odds squared, log-odds times tie parameter, tie parameter squared


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-likelihood of cells in (P,) parameters: M strengths, k effects, and with Davidson's ties log nu."""

    cells: Cells
    design: sparse.csr_array
    tie_model: TieModel

    @property
    def n_parameters(self) -> int:
        """P, all parameters, one of which the gauge takes away."""
        return int(self.design.shape[1]) + (self.tie_model == "davidson")

    def _outcomes(self, parameters: FloatArray) -> _Outcomes:
        columns = self.design.shape[1]
        log_odds = self.design @ parameters[:columns]
        return _half(log_odds) if self.tie_model == "half" else _davidson(log_odds, parameters[columns])

    def value(self, parameters: FloatArray) -> float:
        """Return the log-likelihood."""
        return float(np.sum(self.cells.counts * self._outcomes(parameters).log_probability))

    def gradient_and_information(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the (P,) gradient, and the (P, P) information, which is minus the Hessian and the expected one too."""
        found, counts = self._outcomes(parameters), self.cells.counts
        gradient = self.design.T @ np.sum(counts * found.score, axis=1)
        if self.tie_model == "davidson":
            gradient = np.append(gradient, np.sum(counts * found.tie_score))
        return gradient, self._quadratic(found.information * counts.sum(axis=1, keepdims=True))

    def score_products(self, parameters: FloatArray, counts: FloatArray) -> FloatArray:
        """Return the (P, P) sum over (c, 3) comparisons of their scores' outer products: independent comparisons."""
        found = self._outcomes(parameters)
        products = [found.score**2, found.score * found.tie_score, found.tie_score**2]
        return self._quadratic(np.stack([np.sum(counts * product, axis=1) for product in products], axis=1))

    def clustered_score_products(self, parameters: FloatArray, votes: VoterScores) -> FloatArray:
        """Return the (P, P) sum over G voters of outer products of their summed scores, times G / (G - 1)."""
        found = self._outcomes(parameters)
        _, voters = np.unique(votes.voters, return_inverse=True)
        n_voters = int(voters.max()) + 1
        members = sparse.csr_array((np.ones(len(voters)), (voters, np.arange(len(voters)))))
        at = votes.cells, votes.outcomes
        sums = members @ (sparse.diags_array(found.score[at]) @ self.design[votes.cells])
        if self.tie_model == "davidson":
            ties = sparse.csr_array((members @ found.tie_score[at])[:, None])
            sums = sparse.hstack([sums, ties], format="csr")
        products: FloatArray = (sums.T @ sums).toarray() * (n_voters / (n_voters - 1))
        return products

    def _quadratic(self, weights: FloatArray) -> FloatArray:
        inner: FloatArray = (self.design.T @ sparse.diags_array(weights[:, 0]) @ self.design).toarray()
        if self.tie_model == "half":
            return inner
        cross = (self.design.T @ weights[:, 1])[:, None]
        return np.block([[inner, cross], [cross.T, np.sum(weights[:, 2])]])


def _half(log_odds: FloatArray) -> _Outcomes:
    wins, losses = special.log_expit(log_odds), special.log_expit(-log_odds)
    share = special.expit(log_odds)
    nothing = np.zeros((len(share), 3))
    information = nothing.copy()
    information[:, 0] = share * (1 - share)
    return _Outcomes(
        log_probability=np.stack([wins, (wins + losses) / 2, losses], axis=1),
        score=np.array([1.0, 0.5, 0.0]) - share[:, None],
        tie_score=nothing,
        information=information,
    )


def _davidson(log_odds: FloatArray, log_nu: float) -> _Outcomes:
    terms = np.stack([log_odds / 2, np.full_like(log_odds, log_nu), -log_odds / 2], axis=1)
    log_probability: FloatArray = special.log_softmax(terms, axis=1)
    win, tie, loss = np.exp(log_probability).T
    edge = (win - loss) / 2
    return _Outcomes(
        log_probability=log_probability,
        score=np.array([0.5, 0.0, -0.5]) - edge[:, None],
        tie_score=np.array([0.0, 1.0, 0.0]) - tie[:, None],
        information=np.stack([(win + loss) / 4 - edge**2, -edge * tie, tie * (1 - tie)], axis=1),
    )


def gauged(information: FloatArray, n_models: int) -> FloatArray:
    """Add to the (P, P) information what fixes the sum of the M strengths, along which the likelihood is flat.

    The direction of equal shifts is an eigenvector of value 0; it gets a value of the information's own size, so that the
    inverse exists and is that of the other directions. A pseudo-inverse would have to guess which small values are zero.
    """
    size = np.trace(information[:n_models, :n_models]) / n_models
    fixed = information.copy()
    fixed[:n_models, :n_models] += size / n_models
    return fixed


def is_identified(likelihood: Likelihood, n_models: int) -> bool:
    """Whether no effect is a combination of strengths and other effects, judged where all parameters are 0."""
    _, information = likelihood.gradient_and_information(np.zeros(likelihood.n_parameters))
    matrix = gauged(information, n_models)
    scale = np.sqrt(np.diag(matrix))
    if not (scale > 0).all():
        return False
    return bool(np.linalg.eigvalsh(matrix / np.outer(scale, scale))[0] > _SINGULAR)


def maximise(likelihood: Likelihood, n_models: int) -> FloatArray | None:
    """Return the (P,) parameters of greatest likelihood, strengths summing to 0; None where it has no finite maximum.

    Newton's method with halved steps from 0. The log-likelihood is concave, so a maximum that is found is the only one;
    where there is none, the steps never become small.
    """
    parameters = np.zeros(likelihood.n_parameters)
    reached = likelihood.value(parameters)
    for _ in range(_MAX_STEPS):
        gradient, information = likelihood.gradient_and_information(parameters)
        try:
            step = np.linalg.solve(gauged(information, n_models), gradient)
        except np.linalg.LinAlgError:
            return None
        small = float(np.max(np.abs(step))) < _SMALL_STEP
        while (tried := likelihood.value(parameters + step)) < reached and np.max(np.abs(step)) >= _SMALL_STEP:
            step = step / 2
        parameters, reached = parameters + step, tried
        if small:
            return parameters
    return None
