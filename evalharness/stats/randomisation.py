"""Randomisation tests of two systems on the same documents: without a difference, either could have given either answer.

All exchanges are enumerated where that is no more work than drawing them; p is then exact. Otherwise p = (c + 1) / (R + 1) with
c of R random exchanges at least as extreme, which is never 0 and keeps the error rate (Phipson and Smyth 2010, "Permutation
p-values should never be zero", Statistical Applications in Genetics and Molecular Biology 9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from evalharness.stats.difference import Alternative, Significance
from evalharness.stats.intervals import ROUNDING, Absent, ClusterArray, FloatArray
from evalharness.stats.resampling import cluster_sums

#: Bytes that the exchanges of one block may take.
_BLOCK_BYTES = 64 * 2**20
#: Sums in another order differ by rounding; what is equal but for that counts as equally extreme.
_TIE = 1e-9


def sign_flip_test(
    differences: FloatArray,
    clusters: ClusterArray | None = None,
    *,
    rng: np.random.Generator,
    n_flips: int = 9999,
    alternative: Alternative = "two-sided",
) -> Significance | Absent:
    """Test whether (n,) differences are symmetric around 0, by flipping the signs of samples, or of whole clusters.

    Needs no normal distribution and no spread: for few samples or heavy tails. Differences of zero change nothing and are
    left out of the count. Exact where there are at most n_flips sign patterns; on differences of -1, 0 and 1 it is then
    McNemar's exact test. Absent with fewer than 2 samples or clusters, or where a difference is not finite.
    Source: Fisher 1935, "The Design of Experiments", section 21; the same as ``scipy.stats.permutation_test(...,
    permutation_type="samples")``.
    """
    sums = differences if clusters is None else cluster_sums(differences[:, None], clusters)[:, 0]
    if len(sums) < 2:
        return _too_few(len(sums), clusters is None)
    n = len(differences)
    if not np.isfinite(differences).all():
        return Absent("some differences are not finite")
    moving = sums[np.abs(sums) > ROUNDING * np.abs(differences).max()][:, None]

    def mean(totals: FloatArray) -> FloatArray:
        return np.asarray(totals[..., 0] / n)

    observed, scale = float(moving.sum() / n), float(np.abs(moving).sum() / n)
    drawn = [mean(moving.sum(axis=0) - 2 * flipped) for flipped in _exchanged(moving, n_flips, rng)]
    return _significance(
        "sign-flip", np.concatenate(drawn), (observed, scale), 2 ** len(moving) <= n_flips, alternative
    )


def approximate_randomization(
    rows_a: FloatArray,
    rows_b: FloatArray,
    value: Callable[[FloatArray], FloatArray],
    clusters: ClusterArray | None = None,
    *,
    rng: np.random.Generator,
    n_swaps: int = 9999,
    alternative: Alternative = "two-sided",
) -> Significance | Absent:
    """Test whether two systems differ in ``value(column sums)``, by swapping the rows of samples, or of whole clusters.

    rows_a, rows_b: (n, k) statistics of baseline and candidate on the same samples. value: maps (R, k) sums to (R,) values.
    The observed difference is value(b) - value(a). Swaps whose value is not finite make the answer Absent, as do fewer than
    2 samples or clusters.
    As ``sacrebleu.significance.PairedTest(test_type="ar")``, except that swaps as extreme as what was observed count: not
    counting them, sacrebleu finds a system significantly different from itself (p = 1 / (R + 1)).
    Source: Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses"; Riezler and Maxwell 2005, "On some pitfalls in
    automatic evaluation and significance testing for MT".
    """
    if rows_a.shape != rows_b.shape:
        raise ValueError(f"paired rows have one shape, not {rows_a.shape} and {rows_b.shape}")
    units_a, units_b = (rows if clusters is None else cluster_sums(rows, clusters) for rows in (rows_a, rows_b))
    if len(units_a) < 2:
        return _too_few(len(units_a), clusters is None)
    total_a, total_b = units_a.sum(axis=0), units_b.sum(axis=0)
    gains = (units_b - units_a)[(units_a != units_b).any(axis=1)]
    observed = float(value(total_b[None])[0] - value(total_a[None])[0])
    scale = float(np.abs(value(np.stack([total_a, total_b]))).max())
    drawn = [value(total_b - moved) - value(total_a + moved) for moved in _exchanged(gains, n_swaps, rng)]
    values = np.concatenate(drawn)
    if not np.isfinite(values).all() or not np.isfinite(observed):
        return Absent("some swaps have no value")
    exact = 2 ** len(gains) <= n_swaps
    return _significance("approximate-randomization", values, (observed, scale), exact, alternative)


def _exchanged(rows: FloatArray, n_draws: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield the column sums, (b, k), of the rows that are exchanged: all 2^n choices if these are at most n_draws."""
    n = len(rows)
    if n_draws < 1:
        raise ValueError("a randomisation test needs at least one draw")
    if 2**n <= n_draws:
        yield _bits(np.arange(2**n), n) @ rows
        return
    block = max(1, min(n_draws, _BLOCK_BYTES // (n * 8)))
    for start in range(0, n_draws, block):
        size = (min(block, n_draws - start), n)
        yield rng.integers(0, 2, size=size, dtype=np.bool_).astype(np.float64) @ rows


def _bits(numbers: npt.NDArray[np.intp], n: int) -> FloatArray:
    return ((numbers[:, None] >> np.arange(n)) & 1).astype(np.float64)


def _significance(
    name: str, values: FloatArray, observed: tuple[float, float], exact: bool, alternative: Alternative
) -> Significance:
    """Count the values at least as extreme as the observed one, given with the size of what was subtracted."""
    difference, scale = observed
    slack = _TIE * scale
    extreme = {
        "greater": values >= difference - slack,
        "less": values <= difference + slack,
        "two-sided": np.abs(values) >= abs(difference) - slack,
    }
    if alternative not in extreme:
        raise ValueError(f"alternative is two-sided, greater or less, not {alternative!r}")
    count = int(extreme[alternative].sum())
    p = count / len(values) if exact else (count + 1) / (len(values) + 1)
    return Significance(p, f"{name}-exact" if exact else name, alternative, difference)


def _too_few(units: int, plain: bool) -> Absent:
    if not units:
        return Absent("there are no samples")
    return Absent(f"a single {'sample' if plain else 'cluster'} shows no spread")
