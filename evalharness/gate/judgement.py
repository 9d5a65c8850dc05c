"""The rules for one row: a gain, its margin and its p-value become a verdict and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from evalharness.gate.config import TaskRule
from evalharness.gate.evidence import Gain, TaskEvidence
from evalharness.gate.verdict import Demand, Word, worst
from evalharness.gate.wording import amount, counted
from evalharness.stats.power import minimum_detectable_effect, non_inferiority_samples


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, its sentence, and what a reader should know beside it."""

    word: Word
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a gain, and with which part of the gate's alpha.

    margin, min_effect: on the gain's scale. p_adjusted: among all tests of the gate, None without a test. share: of alpha
    that the test starts with. unit: of the metric.
    """

    demand: Demand
    alpha: float
    power: float
    margin: float | None
    min_effect: float = 0.0
    p_adjusted: float | None = None
    share: float = 1.0
    unit: str = ""


def judge(gain: Gain, question: Question) -> Judged:
    """Return the verdict on a gain.

    fail: p_adjusted <= alpha for a drop greater than min_effect, and not shown to be within the margin. pass: `not_inferior`,
    or, where no regression is all that is demanded, no fail. inconclusive: neither, or no test at all.
    """

    def said(value: float, *, signed: bool = True) -> str:
        return amount(value, gain.scale, question.unit, signed=signed)

    if question.p_adjusted is None and not gain.is_identical:
        return Judged("inconclusive", f"no test can be made: {gain.absence or 'its method has none'}")
    is_dropped = question.p_adjusted is not None and question.p_adjusted <= question.alpha and gain.value < 0
    is_shown = not_inferior(gain, question.margin)
    if is_dropped and -gain.value > question.min_effect and not is_shown:
        return Judged("fail", f"worse by {said(-gain.value, signed=False)}")
    notes: tuple[str, ...] = ()
    if is_dropped:
        limit = "the margin" if is_shown else "min_effect"
        notes = (f"a small significant drop of {said(-gain.value, signed=False)}, within {limit}",)
    if gain.low is not None and gain.low > 0:
        return Judged("pass", f"better by {said(gain.value, signed=False)}", notes)
    if is_shown:
        within = (
            "" if question.margin is None else f": a drop beyond {said(question.margin, signed=False)} is ruled out"
        )
        same = f"the same scores on {counted(gain.n, 'document')}" if gain.is_identical else f"not worse{within}"
        return Judged("pass", same, notes)
    if question.demand == "no regression":
        return Judged("pass", "no regression found", notes)
    if gain.low is None:
        return Judged("inconclusive", "the data show no spread, so nothing can be ruled out", notes)
    if question.margin is None:
        return Judged("inconclusive", "no margin is set, and no improvement is shown", notes)
    open_drop = f"a drop of {said(-gain.low, signed=False)} cannot be ruled out"
    return Judged("inconclusive", f"{open_drop}; the margin is {said(question.margin, signed=False)}", notes)


def not_inferior(gain: Gain, margin: float | None) -> bool:
    """Say whether a drop beyond the margin is ruled out, by data that could have shown it.

    The lower bound must lie above -margin. Beside that the gain must be shown to be positive, or half of the interval be no
    wider than the margin: with so few documents that even equal scores would not do, a lucky draw shall not do either.
    Rows that are equal everywhere and have no range, such as log-probabilities, are of the same model: nothing got worse.
    """
    if gain.low is None:
        return gain.is_identical
    if gain.low > 0:
        return True
    return margin is not None and gain.low > -margin and gain.value - gain.low <= margin


def judge_limits(task: TaskEvidence) -> Judged | None:
    """Return the verdict on a task's `min` and `max`; None where it has none.

    With ``on: ci_low`` the worse end of the candidate's interval must keep the limit: a value that keeps it with an end that
    does not is inconclusive.
    """
    rule = task.rule
    if rule.min is None and rule.max is None:
        return None
    judged = [
        _judge_limit(task, rule, limit, sign)
        for limit, sign in ((rule.min, 1.0), (rule.max, -1.0))
        if limit is not None
    ]
    word = worst([each.word for each in judged])
    return next(each for each in judged if each.word == word)


def _judge_limit(task: TaskEvidence, rule: TaskRule, limit: float, sign: float) -> Judged:
    side, name = ("below", "min") if sign > 0 else ("above", "max")
    value, end = task.candidate_value, task.candidate_low if sign > 0 else task.candidate_high
    if value is None:
        return Judged("not comparable", f"no value to hold against {name} {limit:g}")
    if sign * value < sign * limit:
        return Judged("fail", f"{value:.4g} is {side} {name} {limit:g}")
    if rule.on == "ci_low" and (end is None or sign * end < sign * limit):
        reached = "it has no interval" if end is None else f"its interval reaches {end:.4g}"
        return Judged("inconclusive", f"{value:.4g} keeps {name} {limit:g}, but {reached}")
    return Judged("pass", f"{value:.4g} keeps {name} {limit:g}")


def detectable_drop(gain: Gain, question: Question) -> float | None:
    """Return the drop that this test finds with the power asked for, at its part of alpha; None without a standard error."""
    if gain.standard_error is None:
        return None
    alpha, variance = question.alpha * question.share, gain.standard_error**2
    return minimum_detectable_effect(1, variance=variance, alpha=alpha, power=question.power, sides="one-sided")


def documents_needed(gain: Gain, question: Question) -> int | None:
    """Return how many documents like these show, with the power asked for, that an equal candidate keeps the margin."""
    if gain.standard_error is None or not question.margin:
        return None
    variance = gain.n * gain.standard_error**2
    return non_inferiority_samples(question.margin, variance=variance, alpha=question.alpha, power=question.power)
