"""What follows from a difference and its standard error: an interval, a test, and whether a margin is kept.

Every verdict about one difference comes from the same three numbers, so an interval and a test can never disagree: a p-value
is below alpha exactly where the interval at the matching level leaves the tested value out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from evalharness.stats.intervals import Interval

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True, slots=True)
class EstimatedDifference:
    """An estimated difference, candidate minus baseline, and how far it may be off.

    value: the estimate, around which interval and tests are centred. standard_error: in the unit of `value`, positive: data
    without any spread have no `EstimatedDifference`. df: degrees of freedom of Student's t, infinite for the normal one.
    method: how the standard error was found.
    Raises ValueError if the standard error or df is not positive, or the value is not finite.
    """

    value: float
    standard_error: float
    df: float
    method: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0 < self.standard_error < math.inf and self.df > 0):
            raise ValueError("a difference needs a finite value, a positive finite standard error and positive df")


@dataclass(frozen=True, slots=True)
class Significance:
    """How often chance alone would give at least what was observed, were there no difference (or the one of `shift`).

    difference: the observed one, candidate minus baseline, None where the test does not know its unit (McNemar's knows no
    n). t, df and standard_error are None for tests that use none. method names the test.
    """

    p: float
    method: str
    alternative: Alternative
    difference: float | None = None
    t: float | None = None
    df: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True, slots=True)
class MarginTest:
    """Whether a difference keeps a margin.

    p: how often a difference that just breaks the margin would look this good. holds: p < alpha. low and high: bounds of
    the interval at level 1 - 2 alpha, which lies inside the margin exactly where `holds`; high is infinite for
    non-inferiority, which asks nothing above.
    """

    p: float
    holds: bool
    margin: float
    alpha: float
    low: float
    high: float
    method: str


def difference_interval(difference: EstimatedDifference, *, level: float = 0.95) -> Interval:
    """Return value -+ t standard errors, t Student's quantile at df degrees of freedom (the normal one where infinite)."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, such as 0.95, not {level}")
    half = float(stats.t.ppf((1 + level) / 2, difference.df)) * difference.standard_error
    return Interval(difference.value - half, difference.value + half, level, difference.method)


def difference_test(
    difference: EstimatedDifference, *, shift: float = 0.0, alternative: Alternative = "two-sided"
) -> Significance:
    """Test whether the true difference is `shift`: t = (value - shift) / standard error.

    alternative: what else may be true: another difference, a greater one, or a lesser one.
    """
    t = (difference.value - shift) / difference.standard_error
    p = _tail(t, difference.df, alternative)
    return Significance(
        p, difference.method, alternative, difference.value, t, difference.df, difference.standard_error
    )


def non_inferiority(difference: EstimatedDifference, *, margin: float, alpha: float = 0.05) -> MarginTest:
    """Test whether the candidate is worse than the baseline by less than `margin` > 0; greater must mean better.

    p is that of a one-sided test against the difference -margin; it is below alpha exactly where the lower bound at level
    1 - 2 alpha lies above -margin. Negate the difference of a metric that is better when lower. A relative margin r of a
    ratio goes with a difference of logarithms: `relative_margin`.
    Raises ValueError if the margin is not positive or alpha not between 0 and 0.5.
    Source: Piaggio et al. 2012, "Reporting of noninferiority and equivalence randomized trials", JAMA 308; the same as
    ``scipy.stats.ttest_1samp(d, -margin, alternative="greater")`` for a mean.
    """
    _check_margin(margin, alpha)
    p = _tail((difference.value + margin) / difference.standard_error, difference.df, "greater")
    bounds = difference_interval(difference, level=1 - 2 * alpha)
    return MarginTest(p, p < alpha, margin, alpha, bounds.low, math.inf, difference.method)


def equivalence(difference: EstimatedDifference, *, margin: float, alpha: float = 0.05) -> MarginTest:
    """Test whether candidate and baseline differ by less than `margin` > 0 either way: two one-sided tests.

    p is the greater of the p-values against -margin and +margin; it is below alpha exactly where the interval at level
    1 - 2 alpha lies within (-margin, margin).
    Raises ValueError as `non_inferiority`.
    Source: Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15.
    """
    _check_margin(margin, alpha)
    above = _tail((difference.value + margin) / difference.standard_error, difference.df, "greater")
    below = _tail((difference.value - margin) / difference.standard_error, difference.df, "less")
    p, bounds = max(above, below), difference_interval(difference, level=1 - 2 * alpha)
    return MarginTest(p, p < alpha, margin, alpha, bounds.low, bounds.high, difference.method)


def relative_margin(share: float) -> float:
    """Return log(1 + share): the margin, on a difference of logarithms, of a ratio that may rise by `share` (0.01: 1 %)."""
    if not share > 0:
        raise ValueError(f"a relative margin is positive, such as 0.01, not {share}")
    return math.log1p(share)


def _tail(t: float, df: float, alternative: Alternative) -> float:
    if alternative == "greater":
        return float(stats.t.sf(t, df))
    if alternative == "less":
        return float(stats.t.cdf(t, df))
    if alternative == "two-sided":
        return float(2 * stats.t.sf(abs(t), df))
    raise ValueError(f"alternative is two-sided, greater or less, not {alternative!r}")


def _check_margin(margin: float, alpha: float) -> None:
    if not 0 < margin < math.inf or not 0 < alpha < 0.5:
        raise ValueError("a margin is positive, and alpha lies between 0 and 0.5")
