"""From response text to answer: small functions that find what counts, or say that nothing was found.

A filter maps the answers of all repeats of one document to answers; None stands for "no answer found" and stays None.
Another package adds a filter under the entry point ``evalharness.filters``: a frozen dataclass with `apply`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Protocol

from pydantic.dataclasses import dataclass

from evalharness.errors import TaskError, suggest
from evalharness.registry import Registry
from evalharness.task.named import build_named
from evalharness.task.outputs import FilterSpec

Answers = tuple[str | None, ...]

#: A sign is one only where no word or digit stands before it: 10-5 holds 10 and 5, and 2024-01-05 ends in 05.
NUMBER = r"(?:(?<!\w)[-+\u2212])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\d.])\.\d+)"


#: Letters of scripts that set no blanks between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer; and Korean's, whose
#: particles follow a word directly. Beside them a word may begin or end anywhere.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)


class Filter(Protocol):
    """A frozen dataclass whose fields are its parameters.

    A filter that compares the repeats of a document says so by a class attribute ``needs_repeats = True``; it is refused where
    there is only one to compare.
    """

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Map the answers of all repeats; choices are the document's, empty where it has none."""
        ...


def _each(answers: Answers, find: Callable[[str], str | None]) -> Answers:
    return tuple(None if answer is None else find(answer) for answer in answers)


@dataclass(frozen=True)
class Strip:
    """Cut white space from both ends."""

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Strip each answer."""
        return _each(answers, str.strip)


@dataclass(frozen=True)
class Lower:
    """Write in lower case."""

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Lower each answer."""
        return _each(answers, str.lower)


@dataclass(frozen=True)
class FirstLine:
    """Keep the first line that is not blank."""

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Cut each answer to its first line."""
        return _each(answers, lambda text: next((line.strip() for line in text.splitlines() if line.strip()), None))


@dataclass(frozen=True)
class Regex:
    """Find `pattern`; keep its `group` (0: the whole match) of the ``first`` or ``last`` match, stripped."""

    pattern: str
    group: int | str = 1
    pick: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern)
        except re.error as fault:
            raise ValueError(f"pattern {self.pattern!r} is not a regular expression: {fault}") from None
        known: Sequence[object] = (*range(compiled.groups + 1), *compiled.groupindex)
        if self.group not in known:
            raise ValueError(
                f"pattern {self.pattern!r} has no group {self.group!r}; groups: {', '.join(map(str, known))}"
            )

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Search each answer."""

        def find(text: str) -> str | None:
            matches = list(re.finditer(self.pattern, text))
            found = matches[0 if self.pick == "first" else -1].group(self.group) if matches else None
            return None if found is None else found.strip()

        return _each(answers, find)


@dataclass(frozen=True)
class LastNumber:
    """Keep the last number, written in ASCII, without thousands separators and without a trailing ``.0``."""

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Find the last number of each answer."""
        return _each(answers, lambda text: _tidy_number(re.findall(NUMBER, text)[-1:]))


@dataclass(frozen=True)
class FirstNumber:
    """Keep the first number, written in ASCII, without thousands separators and without a trailing ``.0``."""

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Find the first number of each answer."""
        return _each(answers, lambda text: _tidy_number(re.findall(NUMBER, text)[:1]))


def _tidy_number(found: list[str]) -> str | None:
    if not found:
        return None
    # Digits of other scripts and the typographic minus mean the same as the ASCII ones that references are written in.
    ascii_digits = "".join(str(unicodedata.decimal(sign, sign)) for sign in found[0]).replace("\u2212", "-")
    number = ascii_digits.replace(",", "").removeprefix("+")
    return re.sub(r"\.0+$", "", re.sub(r"^(-?)\.", r"\g<1>0.", number))


@dataclass(frozen=True)
class FirstChoice:
    """Keep the document's choice that is named first in the answer; the longest, where several start at one place.

    A choice must stand as a whole word. Scripts without blanks show no words: beside their letters it may stand anywhere.
    """

    ignore_case: bool = True

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Look for the choices in each answer, as whole words."""
        flags = re.IGNORECASE if self.ignore_case else 0

        def find(text: str) -> str | None:
            spots = [
                (match.start(), -len(choice), choice)
                for choice in choices
                if (match := re.search(_as_word(choice), text, flags))
            ]
            return min(spots)[2] if spots else None

        return _each(answers, find)


def _as_word(choice: str) -> str:
    """Return the pattern of a choice that no letter of its own word stands beside."""
    letter = rf"[^\W{_UNSPACED}]"
    begins = "" if re.match(f"[{_UNSPACED}]", choice) else f"(?<!{letter})"
    ends = "" if re.search(f"[{_UNSPACED}]$", choice) else f"(?!{letter})"
    return f"{begins}{re.escape(choice)}{ends}"


@dataclass(frozen=True)
class MajorityVote:
    """Replace the answers of all repeats by the most frequent, the earliest on ties (Wang et al. 2023, arXiv:2203.11171)."""

    needs_repeats: ClassVar[bool] = True

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Vote over the repeats; answers that were not found do not vote."""
        votes = Counter(answer for answer in answers if answer is not None)
        return (votes.most_common(1)[0][0],) if votes else (None,)


FILTERS: Registry[Callable[..., Filter]] = Registry(
    "filter",
    {
        name: f"evalharness.task.filters:{target}"
        for name, target in {
            "strip": "Strip",
            "lower": "Lower",
            "first_line": "FirstLine",
            "regex": "Regex",
            "last_number": "LastNumber",
            "first_number": "FirstNumber",
            "first_choice": "FirstChoice",
            "majority_vote": "MajorityVote",
        }.items()
    }
    | {
        name: f"evalharness.task.lm_eval.filters:{target}"
        for name, target in {
            "find_all": "FindAll",
            "find_choice": "FindChoice",
            "map_answers": "MapAnswers",
            "pos_tags": "PosTags",
            "spans": "Spans",
            "take_first": "TakeFirst",
            "take_first_k": "TakeFirstK",
            "upper": "Upper",
        }.items()
    },
    "evalharness.filters",
    error=TaskError,
)


def build_filter(spec: FilterSpec, *, where: str) -> Filter:
    """Build a filter from its name and parameters.

    Raises TaskError with `where` (``file:line``): unknown name, unknown or missing parameter, wrong type, bad pattern.
    """
    if spec.name not in FILTERS:
        raise TaskError.at(where, f"unknown filter `{spec.name}`", suggest(spec.name, FILTERS, noun="filters"))
    return build_named(FILTERS[spec.name], spec.name, spec.parameters, noun="filter", where=where)
