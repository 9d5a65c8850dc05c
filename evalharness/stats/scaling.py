"""Scaling laws: how loss falls with a model's parameters N and its training tokens D, L = E + A / N^a + B / D^b.

Sources: Hoffmann et al. 2022, "Training compute-optimal large language models", arXiv:2203.15556, approach 3 (the form, the
Huber loss of log-losses, the grid of starts); Besiroglu, Erdil, Barnett and You 2024, "Chinchilla scaling: a replication
attempt", arXiv:2404.10102 (the scale of the objective, and the bootstrap).

Besiroglu et al. found that the published fit had stopped before its optimum, and that its intervals were too narrow by far:
the objective was averaged over the points, so that its values, near delta^2, fell below the optimiser's tolerance at once.
Here the objective is the sum over points of Huber's loss divided by delta^2, so its values are numbers near the count of
points; N and D are centred in logarithms, which makes the problem well-conditioned; and a fit that did not converge is none.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from evalharness.stats.intervals import Absent, FloatArray, Interval
from evalharness.stats.resampling import percentile_interval

#: Where Huber's loss of a log-loss turns from quadratic to linear: the value of Hoffmann et al.
DELTA = 1e-3
#: Starts that are tried with the optimiser, the best of the whole grid.
_STARTS = 8
#: Relative change of the objective at which the optimiser stops: a hundred times the rounding of a sum of log-losses over
#: DELTA, below which line searches fail; near 1e-9 in a log-likelihood, far below any standard error.
_TOLERANCE = 1e-11
#: Points decide all parameters only if no direction of them changes the predictions less than this, relatively.
_SINGULAR = 1e-7
_EXPONENTS = np.arange(0.1, 1.6, 0.2)
_SHARES = np.array([0.02, 0.1, 0.3, 0.6, 0.9])


@dataclass(frozen=True, slots=True)
class Prediction:
    """The expected loss of a model, and an interval of that expectation: a single training run scatters around it."""

    value: float
    interval: Interval | Absent


@dataclass(frozen=True, slots=True)
class ScalingFit:
    """A scaling law that was fitted to n_points training runs.

    names: "E", "A", "a", and with tokens "B", "b"; values: (P,); intervals: one a parameter. draws: (R, P) bootstrap values,
    which carry how parameters depend on each other: A and a are hardly known singly, their curve is. objective: the sum of
    Huber losses of the log-losses. largest: the most parameters and tokens that were seen.
    """

    names: tuple[str, ...]
    values: FloatArray
    intervals: tuple[Interval | Absent, ...]
    draws: FloatArray
    objective: float
    n_points: int
    largest: tuple[float, ...]
    level: float

    def predict(self, n_parameters: float, n_tokens: float | None = None) -> Prediction:
        """Return the expected loss at a size, and the percentiles of the bootstrap's curves there.

        The interval takes the form for granted: beyond `largest` nothing checks that the law still holds.
        Raises ValueError if tokens are missing, given to a law without them, or a size is not positive.
        """
        sizes = (n_parameters,) if n_tokens is None else (n_parameters, n_tokens)
        if len(sizes) != len(self.largest) or min(sizes) <= 0:
            raise ValueError("a prediction needs positive sizes: parameters, and tokens where the law has them")
        curves = _losses(np.vstack([self.values, self.draws]), sizes)
        return Prediction(float(curves[0]), _percentiles(curves[1:], self.level))


def scaling_fit(
    n_parameters: npt.ArrayLike,
    losses: npt.ArrayLike,
    n_tokens: npt.ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 200,
) -> ScalingFit | Absent:
    """Fit L = E + A / N^a + B / D^b to (n,) training runs, or L = E + A / N^a where n_tokens is None.

    Losses in nats, or any positive unit. Minimises the sum of Huber losses (delta 0.001) of log-losses with L-BFGS from the
    best of a grid of starts. Intervals are percentiles over resampled runs; up to 5 % of the resamples may have no fit.
    Absent where the runs cannot identify the law: fewer than one more than parameters, fewer than three distinct sizes or
    token counts, tokens that are a power of the size, losses that do not fall, or a fit along a flat valley.
    Raises ValueError if arrays differ in length or hold values that are not positive and finite.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError("a bootstrap needs a level between 0 and 1, and at least one resample")
    given = [n_parameters, losses] if n_tokens is None else [n_parameters, losses, n_tokens]
    arrays = [np.asarray(values, dtype=np.float64) for values in given]
    if any(values.ndim != 1 or len(values) != len(arrays[0]) for values in arrays):
        raise ValueError("sizes, losses and tokens are one number each for every run")
    if not all((np.isfinite(values) & (values > 0)).all() for values in arrays):
        raise ValueError("sizes, losses and tokens are positive and finite")
    logs = np.log(np.stack([arrays[0], *arrays[2:]], axis=1)), np.log(arrays[1])
    reason = _unidentified(logs[0])
    if reason is not None:
        return Absent(reason)
    best = _fit(logs[0], logs[1], _starts(*logs))
    if best is None:
        return Absent("no start of the fit converged")
    if (best[2::2] <= 0).any():
        return Absent("the losses do not fall as sizes or tokens grow")
    if _is_flat(best, logs[0]):
        return Absent("the fit lies in a flat valley: other parameters fit the runs equally well")
    draws = _bootstrap(best, logs, rng, resamples)
    values = _natural(best)
    names = ("E", "A", "a", "B", "b")[: len(values)]
    intervals = tuple(_percentiles(column, level) for column in draws.T)
    largest = tuple(float(np.max(values)) for values in (arrays[0], *arrays[2:]))
    return ScalingFit(
        names, values, intervals, draws, _objective(best, *logs)[0] * DELTA**2, len(arrays[0]), largest, level
    )


def _unidentified(sizes: FloatArray) -> str | None:
    n_parameters = 1 + 2 * sizes.shape[1]
    if len(sizes) <= n_parameters:
        return f"{len(sizes)} runs cannot show {n_parameters} parameters and how well they fit"
    for column, noun in zip(sizes.T, ("sizes", "token counts"), strict=False):
        distinct = len(np.unique(column))
        if distinct == 1 and noun == "token counts":
            return "all runs have one token count, so that the law of tokens is unknown; leave tokens out"
        if distinct < 3:
            return f"{distinct} distinct {noun} cannot show a power law above a floor; it takes three"
    if sizes.shape[1] == 2 and abs(np.corrcoef(sizes[:, 0], sizes[:, 1])[0, 1]) > 1 - 1e-9:
        return "tokens are a power of the size in all runs, so that the two cannot be told apart"
    return None


# Parameters while fitting: log E, then for each of N and D the log of its term at the centre, and its exponent.


def _terms(parameters: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return the (..., n, 1 + d) logarithms of E and the terms of (..., P) parameters."""
    floor = np.broadcast_to(parameters[..., None, :1], (*parameters.shape[:-1], len(sizes), 1))
    powers = parameters[..., None, 1::2] - parameters[..., None, 2::2] * sizes
    return np.concatenate([floor, powers], axis=-1)


def _objective(parameters: FloatArray, sizes: FloatArray, log_losses: FloatArray) -> tuple[float, FloatArray]:
    """Return the sum of Huber losses over delta^2, and its (P,) gradient."""
    terms = _terms(parameters, sizes)
    fitted = special.logsumexp(terms, axis=1)
    residuals = (fitted - log_losses) / DELTA
    pulls = np.clip(residuals, -1, 1) / DELTA
    gradient = pulls @ _slopes(terms, fitted, sizes)
    return float(np.sum(special.huber(1.0, residuals))), gradient


def _slopes(terms: FloatArray, fitted: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return the (n, P) derivatives of the fitted log-losses."""
    shares = np.exp(terms - fitted[:, None])
    slopes = np.empty((len(sizes), 1 + 2 * sizes.shape[1]))
    slopes[:, 0], slopes[:, 1::2], slopes[:, 2::2] = shares[:, 0], shares[:, 1:], -shares[:, 1:] * sizes
    return slopes


def _starts(sizes: FloatArray, log_losses: FloatArray) -> FloatArray:
    """Return the best of a grid: exponents, the floor's share of the lowest loss, and how the rest divides."""
    lowest, middle = math.exp(log_losses.min()), math.exp(np.median(log_losses))
    d, centre = sizes.shape[1], np.median(sizes, axis=0)
    divisions = [(1.0,)] if d == 1 else [(share, 1 - share) for share in _SHARES]
    starts = []
    for floor, division, exponents in itertools.product(_SHARES, divisions, itertools.product(_EXPONENTS, repeat=d)):
        rest = middle - floor * lowest
        start = [math.log(floor * lowest)]
        for share, exponent, place in zip(division, exponents, centre, strict=True):
            start += [math.log(share * rest) + exponent * place, exponent]
        starts.append(start)
    grid = np.array(starts)
    fitted = special.logsumexp(_terms(grid, sizes), axis=2)
    objectives = np.sum(special.huber(1.0, (fitted - log_losses) / DELTA), axis=1)
    best: FloatArray = grid[np.argsort(objectives)[:_STARTS]]
    return best


def _fit(sizes: FloatArray, log_losses: FloatArray, starts: FloatArray) -> FloatArray | None:
    """Return the (P,) parameters of the least objective over the starts, or None where no start converged."""
    centre = sizes.mean(axis=0)
    best, least = None, math.inf
    for start in starts:
        found = optimize.minimize(
            _objective,
            _shifted(start, -centre),
            args=(sizes - centre, log_losses),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 10000, "ftol": _TOLERANCE, "gtol": 1e-6, "maxcor": 20},
        )
        if found.success and found.fun < least:
            best, least = _shifted(found.x, centre), float(found.fun)
    return best


def _shifted(parameters: FloatArray, centre: FloatArray) -> FloatArray:
    """Return the same law for sizes that are greater by `centre`."""
    shifted = parameters.copy()
    shifted[1::2] += parameters[2::2] * centre
    return shifted


def _is_flat(parameters: FloatArray, sizes: FloatArray) -> bool:
    centre = sizes.mean(axis=0)
    moved, centred = _shifted(parameters, -centre), sizes - centre
    terms = _terms(moved, centred)
    slopes = _slopes(terms, special.logsumexp(terms, axis=1), centred)
    singular = np.linalg.svd(slopes, compute_uv=False)
    return bool(singular[-1] < _SINGULAR * singular[0])


def _bootstrap(
    best: FloatArray, logs: tuple[FloatArray, FloatArray], rng: np.random.Generator, resamples: int
) -> FloatArray:
    """Return (R, P) natural parameters of resampled runs, R below `resamples` where some had no fit."""
    found = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(logs[1]), size=len(logs[1]))
        if _unidentified(np.unique(logs[0][drawn], axis=0)) is None:
            fitted = _fit(logs[0][drawn], logs[1][drawn], best[None, :])
            if fitted is not None:
                found.append(_natural(fitted))
    enough = len(found) >= 0.95 * resamples
    return np.array(found) if enough else np.empty((0, len(best)))


def _natural(parameters: FloatArray) -> FloatArray:
    """Return E, A, a, B, b."""
    natural = parameters.copy()
    natural[0], natural[1::2] = np.exp(parameters[0]), np.exp(parameters[1::2])
    return natural


def _losses(values: FloatArray, sizes: tuple[float, ...]) -> FloatArray:
    powers = np.log(values[:, 1::2]) - values[:, 2::2] * np.log(sizes)
    found: FloatArray = values[:, 0] + np.exp(powers).sum(axis=1)
    return found


def _percentiles(draws: FloatArray, level: float) -> Interval | Absent:
    return percentile_interval(draws, level, "bootstrap") if len(draws) else Absent("too many resamples have no fit")
