"""Metrics that let a model judge: ratings of single answers, and which of two answers is better, asked in both orders.

A judge is asked like any model: see `evalharness.metric.base.Asks`. Its prompts are templates of the task's own language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from evalharness.errors import EngineError
from evalharness.metric.base import STRICT, Mean, question_key, signature_of
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
from {{ low }} (of no use) to {{ high }} (nothing to improve), in double square brackets, such as [[{{ low }}]]."""

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
