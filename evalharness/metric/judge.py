"""Metrics that let a model judge: ratings of single answers, and which of two answers is better, asked in both orders.

A judge is asked like any model: see `evalharness.metric.base.Asks`. Its prompts are templates of the task's own language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from evalharness.errors import EngineError
from evalharness.metric.base import STRICT, Mean, ZeroToOne, question_key, signature_of
from evalharness.metric.questions import question_context, short_hash, template_of
from evalharness.metric.reading import answer_of, judgements_of
from evalharness.request import (
    Decoding,
    Generate,
    Generated,
    Message,
    OutputKind,
    Request,
    Response,
    Sample,
)

RATING_PROMPT = """\
An assistant was asked this:

<question>
{{ prompt }}
</question>

The assistant answered:

<answer>
{{ answer }}
</answer>
{% if reference %}
An answer that is known to be right:

<reference>
{{ reference }}
</reference>
{% endif %}
Judge how good the assistant's answer is: whether what it says is right, whether it does what was asked, and whether it is \
clear. A longer answer is not a better one. First give your reasons in a few sentences. Then rate the answer with one number \
from {{ low }} (of no use) to {{ high }} (nothing to improve), in the form [[number]]."""

PAIR_PROMPT = """\
Two assistants were asked this:

<question>
{{ prompt }}
</question>

Assistant A answered:

<answer_a>
{{ answer_a }}
</answer_a>

Assistant B answered:

<answer_b>
{{ answer_b }}
</answer_b>

Compare the two answers: whether what they say is right, whether they do what was asked, and whether they are clear. Neither \
the order in which they stand here nor their length says anything about them. First give your reasons in a few sentences. \
Then give your verdict in double square brackets: [[A]] if A's answer is better, [[B]] if B's is, [[C]] if neither is."""

#: How much of a judge's text an error quotes, from its end.
_QUOTED_CHARACTERS = 80


@dataclass(frozen=True, config=STRICT)
class _Judgement(Mean):
    """What the metrics have in common whose judge generates text with a verdict in it."""

    model: str | None = None
    system: str | None = None
    max_new_tokens: Annotated[int, Field(ge=1)] = 1024

    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})

    def _request(self, sample: Sample, slot: int, text: str) -> Request:
        turns = (*((Message("system", self.system),) if self.system is not None else ()), Message("user", text))
        return Generate(question_key(sample, slot), turns, Decoding(max_new_tokens=self.max_new_tokens))


@dataclass(frozen=True, config=STRICT)
class JudgeRating(_Judgement):
    """The mean of ratings that a judge gives to single answers (pointwise; Zheng et al. 2023, arXiv:2306.05685, section 3.1).

    prompt: a template that sees the document's columns and ``prompt``, ``answer``, ``reference``, ``references``, ``low``,
    ``high``, and in a task with steps ``steps.<name>.prompt``, ``.response`` and ``.answer``. system: what the judge reads
    before. low, high: the scale. pattern: a regular expression, whose last match in the judge's text has the rating as its
    first group. The judge decodes greedily. A text without a rating, or one off the scale, fails the document; an answer that
    the filters did not find is not shown to the judge, and rated `low`.
    """

    prompt: str = RATING_PROMPT
    low: float = 1.0
    high: float = 10.0
    pattern: str = r"\[\[(\d+(?:\.\d+)?)\]\]"

    name: ClassVar[str] = "judge_rating"
    columns: ClassVar[tuple[str, ...]] = ("rating", "count")
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "rating"

    @model_validator(mode="after")
    def _parameters_make_sense(self) -> Self:
        _check_pattern(self.pattern)
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")
        if not template_of(self.prompt, "prompt").names & {"answer", "steps"}:
            raise ValueError("prompt: the judge would see no answer; write {{ answer }} where it shall stand")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of the scale."""
        return self.low, self.high

    def requests(self, sample: Sample) -> Sequence[Request]:
        """Ask for a rating of the answer, if there is one."""
        answer = answer_of(sample)
        if answer is None:
            return ()
        context = {**question_context(sample), "answer": answer, "low": f"{self.low:g}", "high": f"{self.high:g}"}
        return (self._request(sample, 0, template_of(self.prompt, "prompt").render(context, sample.document.id)),)

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (rating, 1). Raises ValueError if the judge gave none, or one off the scale."""
        if answer_of(sample) is None:
            return (self.low, 1.0)
        (response,) = judgements_of(sample)
        found = _last_match(self.pattern, response, "rating")
        try:
            rating = float(found)
        except ValueError:
            raise ValueError(f"the judge's rating {found!r} is not a number") from None
        if not self.low <= rating <= self.high:
            raise ValueError(f"the judge's rating {found} is off the scale from {self.low:g} to {self.high:g}")
        return (rating, 1.0)

    def signature(self) -> str:
        """Name all parameters; the prompts by their hashes."""
        return signature_of(self, prompt=short_hash(self.prompt), system=short_hash(self.system))


#: Who is preferred in one order: the evaluated model's answer, the other one, or neither.
_Winner = Literal["answer", "other", "neither"]
_CREDITS: dict[_Winner, float] = {"answer": 1.0, "other": 0.0, "neither": 0.5}
#: What the letter of a verdict says when the evaluated model's answer stands first (as A), and when it stands second.
_WINNERS: tuple[dict[str, _Winner], dict[str, _Winner]] = (
    {"A": "answer", "B": "other", "C": "neither"},
    {"A": "other", "B": "answer", "C": "neither"},
)


@dataclass(frozen=True, config=STRICT)
class _Comparison(_Judgement, ZeroToOne):
    """What the metrics have in common whose judge compares an answer with a given one, once in each order.

    prompt: a template that sees what that of `JudgeRating` does, but for the answer: ``answer_a`` and ``answer_b`` instead,
    so that it cannot say which of them is whose. against: a template of the other answer, such as a column of a baseline's
    outputs. pattern: its last match's first group in the judge's text is A, B or C (C: neither is better). A text without a
    verdict fails the document; an answer that the filters did not find is not shown to the judge, and loses in both orders.
    """

    prompt: str = PAIR_PROMPT
    against: str = "{{ reference }}"
    pattern: str = r"\[\[(A|B|C)\]\]"

    @model_validator(mode="after")
    def _templates_make_sense(self) -> Self:
        _check_pattern(self.pattern)
        names = template_of(self.prompt, "prompt").names
        if not {"answer_a", "answer_b"} <= names:
            raise ValueError("prompt: the judge needs both answers; write {{ answer_a }} and {{ answer_b }}")
        if "answer" in names:
            raise ValueError(
                'prompt: `answer` would say whose it is; a column of this name is {{ document["answer"] }}'
            )
        if "answer" in template_of(self.against, "against").names:
            raise ValueError(
                'against: `answer` is the one to compare; a column of this name is {{ document["answer"] }}'
            )
        return self

    def requests(self, sample: Sample) -> Sequence[Request]:
        """Ask twice: with the answer as A, and with the answer as B."""
        answer = answer_of(sample)
        if answer is None:
            return ()
        context, name = question_context(sample), sample.document.id
        other = template_of(self.against, "against").render(context, name)
        prompt = template_of(self.prompt, "prompt")
        return [
            self._request(sample, slot, prompt.render({**context, "answer_a": first, "answer_b": second}, name))
            for slot, (first, second) in enumerate(((answer, other), (other, answer)))
        ]

    def signature(self) -> str:
        """Name all parameters; the prompts by their hashes."""
        hashes = {name: short_hash(getattr(self, name)) for name in ("prompt", "system", "against")}
        return signature_of(self, **hashes)

    def _winners(self, sample: Sample) -> tuple[_Winner, _Winner]:
        """Return who won in each order; raises ValueError if a verdict cannot be read."""
        if answer_of(sample) is None:
            return ("other", "other")
        first, second = (
            self._winner(response, winners) for response, winners in zip(judgements_of(sample), _WINNERS, strict=True)
        )
        return first, second

    def _winner(self, response: Response, winners: Mapping[str, _Winner]) -> _Winner:
        letter = _last_match(self.pattern, response, "verdict")
        if letter not in winners:
            raise ValueError(f"the judge's verdict {letter!r} is none of A, B and C")
        return winners[letter]


@dataclass(frozen=True, config=STRICT)
class JudgeWinRate(_Comparison):
    """The share of answers that a judge prefers to a given one, half a win for a tie (Zheng et al. 2023, arXiv:2306.05685).

    A win needs both orders to agree, for judges favour a place. inconsistent: what it counts where they do not: ``half`` a
    win, a tie, as in section 3.4 there; ``mean`` the mean of the two orders; ``loss`` nothing.
    See `_Comparison` for the other parameters.
    """

    inconsistent: Literal["half", "mean", "loss"] = "half"

    name: ClassVar[str] = "judge_win_rate"
    columns: ClassVar[tuple[str, ...]] = ("wins", "count")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1, 0.5 or 0 wins, 1); with ``inconsistent: mean`` also quarters. Raises ValueError as `_Comparison` says."""
        first, second = self._winners(sample)
        if first == second:
            return (_CREDITS[first], 1.0)
        mean = (_CREDITS[first] + _CREDITS[second]) / 2
        return ({"half": 0.5, "mean": mean, "loss": 0.0}[self.inconsistent], 1.0)


@dataclass(frozen=True, config=STRICT)
class JudgePositionConsistency(_Comparison):
    """The share of documents on which the judge's verdict is the same in both orders (Zheng et al. 2023, section 3.3).

    It says how far the judge can be trusted, not how good the model is. Beside `judge_win_rate` with the same parameters it
    costs nothing: equal questions are asked once. An answer that was not found loses in both orders, unasked.
    """

    name: ClassVar[str] = "judge_position_consistency"
    columns: ClassVar[tuple[str, ...]] = ("consistent", "count")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 or 0, 1). Raises ValueError as `_Comparison` says."""
        first, second = self._winners(sample)
        return (float(first == second), 1.0)


def _check_pattern(pattern: str) -> None:
    try:
        n_groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"pattern: {pattern!r} is not a regular expression: {error}") from None
    if not n_groups:
        raise ValueError(f"pattern: {pattern!r} has no group; put the verdict in round brackets")


def _last_match(pattern: str, response: Response, noun: str) -> str:
    """Return the first group of the last match in what the judge wrote; raises ValueError if there is none."""
    if not isinstance(response, Generated):
        raise EngineError(f"{response.key}: a judge writes text, not {type(response).__name__}")
    found = [match[1] for match in re.finditer(pattern, response.text) if match[1] is not None]
    if not found:
        cut = ", cut at max_new_tokens" if response.stopped_by == "length" else ""
        raise ValueError(f"the judge gave no {noun} (its text{cut} ends with {response.text[-_QUOTED_CHARACTERS:]!r})")
    return str(found[-1])
