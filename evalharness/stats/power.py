"""How many documents a comparison needs, and what it can find with those it has.

Everything rests on the variance of one document's difference between two systems, in the square of the metric's unit. For
answers that are right or wrong it is at most, and for small effects about, the discordance rate: the share of documents on
which the systems disagree. Where answers are sampled it also depends on the number of repeats: `paired_variance`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import stats

Sides = Literal["one-sided", "two-sided"]


def paired_variance(
    between: float, within_a: float = 0.0, within_b: float = 0.0, *, repeats_a: int = 1, repeats_b: int = 1
) -> float:
    """Return between + within_a / repeats_a + within_b / repeats_b, the variance of the difference of two means over repeats.

    between: the variance over documents of the difference of the true means. within_a, within_b: the mean variance of a
    system's single answers to one document. Repeats reduce the latter two only.
    Source: Miller 2024, "Adding error bars to evals", arXiv:2411.00640, section 5.
    """
    if min(between, within_a, within_b) < 0 or min(repeats_a, repeats_b) < 1:
        raise ValueError("variances are not negative, and every document is asked at least once")
    return between + within_a / repeats_a + within_b / repeats_b


def detection_power(
    effect: float, n: float, *, variance: float, alpha: float = 0.05, sides: Sides = "two-sided"
) -> float:
    """Return the probability that a test at level alpha finds a true difference of `effect` on n documents.

    The z-test with known variance: right for the sizes at which power is planned, a little optimistic below about 30. Its
    one-sided form looks for a positive effect; the two-sided one counts rejections on either side.
    """
    _check(alpha, variance=variance, n=n)
    shift = effect * math.sqrt(n / variance)
    found = float(stats.norm.sf(_critical(alpha, sides) - shift))
    return found + float(stats.norm.sf(_critical(alpha, sides) + shift)) if sides == "two-sided" else found


def required_samples(
    effect: float, *, variance: float, alpha: float = 0.05, power: float = 0.8, sides: Sides = "two-sided"
) -> int:
    """Return how many documents find a true difference of `effect` with probability `power`.

    ceil((z_alpha + z_power)^2 variance / effect^2), with z_(alpha / 2) where two-sided; rejections on the wrong side are
    neglected (below 5e-5 for power >= 0.5 and alpha <= 0.05).
    Raises ValueError if the effect or the variance is not positive.
    Source: Miller 2024, arXiv:2411.00640, equation for the sample size in section 5.
    """
    _check(alpha, effect=effect, variance=variance)
    # 1e-9: a whole number that rounding lifted is not one document more
    return max(2, math.ceil(_reach(alpha, power, sides) ** 2 * variance / effect**2 - 1e-9))


def minimum_detectable_effect(
    n: float, *, variance: float, alpha: float = 0.05, power: float = 0.8, sides: Sides = "two-sided"
) -> float:
    """Return the least true difference that n documents find with probability `power`, in the metric's unit.

    (z_alpha + z_power) sqrt(variance / n), the inverse of `required_samples`.
    """
    _check(alpha, variance=variance, n=n)
    return _reach(alpha, power, sides) * math.sqrt(variance / n)


def non_inferiority_samples(
    margin: float, *, variance: float, alpha: float = 0.05, power: float = 0.8, true_difference: float = 0.0
) -> int:
    """Return how many documents show with probability `power` that a candidate keeps `margin`, see `non_inferiority`.

    true_difference: candidate minus baseline, positive is better; 0 for a candidate that is as good. Then, with alpha = .05
    and power .8, n = 6.18 variance / margin^2.
    Raises ValueError if the true difference breaks the margin itself: no number of documents shows the contrary.
    """
    if true_difference <= -margin:
        raise ValueError(f"a candidate that is worse by {-true_difference} does not keep a margin of {margin}")
    return required_samples(margin + true_difference, variance=variance, alpha=alpha, power=power, sides="one-sided")


def mcnemar_power(
    lost: float, won: float, n: int, *, alpha: float = 0.05, sides: Sides = "two-sided", mid_p: bool = False
) -> float:
    """Return the probability that McNemar's test on n documents gives p <= alpha, by enumeration of all outcomes.

    lost, won: the probabilities that a document is right for the baseline only, and for the candidate only. One-sided looks
    for a better candidate. For few discordant documents it lies well below `detection_power`: with fewer than 6 the exact
    two-sided test never rejects at .05. Time and memory grow with n^2; from about a thousand documents on, use
    `detection_power`.
    Raises ValueError if the probabilities are negative or sum to more than 1.
    """
    if min(lost, won) < 0 or lost + won > 1 or n < 1:
        raise ValueError("lost and won are probabilities of different outcomes, and there is at least one document")
    _check(alpha)
    discordance = lost + won
    if discordance == 0:
        return 0.0
    discordant, better = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    point = stats.binom.pmf(better, discordant, 0.5) * (0.5 if mid_p else 0.0)
    p = stats.binom.sf(better - 1, discordant, 0.5) - point
    if sides == "two-sided":
        p = np.minimum(1, 2 * np.minimum(p, stats.binom.cdf(better, discordant, 0.5) - point))
    outcomes = stats.binom.pmf(discordant, n, discordance) * stats.binom.pmf(better, discordant, won / discordance)
    return float(outcomes[p <= alpha * (1 + 1e-12)].sum())


def _reach(alpha: float, power: float, sides: Sides) -> float:
    if not 0 < power < 1:
        raise ValueError(f"power lies between 0 and 1, such as 0.8, not {power}")
    return _critical(alpha, sides) + float(stats.norm.ppf(power))


def _critical(alpha: float, sides: Sides) -> float:
    if sides not in ("one-sided", "two-sided"):
        raise ValueError(f"sides is one-sided or two-sided, not {sides!r}")
    return float(stats.norm.isf(alpha / 2 if sides == "two-sided" else alpha))


def _check(alpha: float, **positive: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, such as 0.05, not {alpha}")
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is positive, not {value}")
