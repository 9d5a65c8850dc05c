"""Filters of lm-evaluation-harness that differ from ours, computed as its release 0.4.13 computes them.

Each maps the responses of one document, in `values` as Python objects (what hooks are handed) and in `apply` as answers. Where
nothing is found they give a fallback such as ``[invalid]``, and not None: the text is compared like any other there.
Source: lm_eval/filters/extraction.py, selection.py and transformation.py.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from evalharness.task.filters import Answers

#: The answer of GSM8K.
_DEFAULT_PATTERN = r"#### (\-?[0-9\.\,]+)"
_LABELS = {
    **dict.fromkeys(("person", "people", "persons", "per"), "PER"),
    **dict.fromkeys(("location", "counties", "places", "country", "continent", "loc"), "LOC"),
    **dict.fromkeys(("organization", "company", "org"), "ORG"),
    **dict.fromkeys(("time", "date"), "DATE"),
}


class Stage(Protocol):
    """One filter on the responses of one document."""

    def values(self, responses: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
        """Map the responses."""
        ...


def _answers(stage: Stage, answers: Answers, choices: tuple[str, ...]) -> Answers:
    found = iter(stage.values([answer for answer in answers if answer is not None], {"choices": choices}))
    values = [None if answer is None else next(found) for answer in answers]
    return tuple(None if value is None else str(value) for value in values)


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as fault:
        raise ValueError(f"{pattern!r} is not a regular expression: {fault}") from None
    return pattern


@dataclass(frozen=True)
class FindAll:
    """Find all of `regex_pattern`, keep one (`group_select`, from the end if negative); of several groups the first not empty.

    `regex` in lm-eval.
    """

    regex_pattern: str = _DEFAULT_PATTERN
    group_select: int = 0
    fallback: str = "[invalid]"

    _compiles = field_validator("regex_pattern")(_compiled)

    def values(self, responses: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
        """Search each response."""
        pattern = re.compile(self.regex_pattern)
        return [self._found(pattern.findall(text if isinstance(text, str) else "")) for text in responses]

    def _found(self, matches: list[Any]) -> str:
        if not matches:
            return self.fallback
        match = matches[self.group_select]
        if isinstance(match, tuple):
            match = next(filter(None, match), self.fallback)
        return str(match).strip()

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Search each answer."""
        return _answers(self, answers, choices)


@dataclass(frozen=True)
class FindChoice:
    """Find `regex_pattern`, else the text of a choice, else a letter after a colon; as ``(A)``, ``(B)``...

    `multi_choice_regex` in lm-eval. The choices are the column `choices` of the document.
    """

    regex_pattern: str = _DEFAULT_PATTERN
    group_select: int = 0
    fallback: str = "[invalid]"
    ignore_case: bool = False
    ignore_punctuation: bool = False
    regexes_to_ignore: tuple[str, ...] | None = None

    _compiles = field_validator("regex_pattern")(_compiled)

    def values(self, responses: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
        """Search each response."""
        letters = [chr(ord("A") + i) for i in range(len(fields["choices"]))]
        texts = {self._cleaned(choice.strip()): f"({letters[i]})" for i, choice in enumerate(fields["choices"])}
        cleaned = [re.escape(self._cleaned(choice.strip())) for choice in fields["choices"]]
        # The longest first: a choice that begins another one must not hide it.
        by_text = re.compile("|".join(sorted(cleaned, key=len, reverse=True)))
        by_letter = re.compile(rf":[\s]*({'|'.join(letters)})")
        return [
            self._match(re.compile(self.regex_pattern), text, {})
            or self._match(by_text, self._cleaned(text), texts)
            or self._match(by_letter, text, {letter: f"({letter})" for letter in letters})
            or self.fallback
            for text in (text if isinstance(text, str) else "" for text in responses)
        ]

    def _match(self, pattern: re.Pattern[str], text: str, named: Mapping[str, str]) -> str:
        matches = pattern.findall(text)
        if not matches:
            return ""
        match = matches[self.group_select]
        if isinstance(match, tuple):
            match = next(filter(None, match), "")
        match = str(match).strip()
        return named.get(match, match)

    def _cleaned(self, text: str) -> str:
        for pattern in self.regexes_to_ignore or ():
            text = re.sub(pattern, "", text)
        if self.ignore_case:
            text = text.lower()
        return text.translate(_punctuation()) if self.ignore_punctuation else text

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Search each answer."""
        return _answers(self, answers, choices)


@cache
def _punctuation() -> dict[int, None]:
    return {i: None for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P")}


@dataclass(frozen=True)
class MapAnswers:
    """Replace answers by what `mapping_dict` says of them, others by `default_value`; `map` in lm-eval."""

    mapping_dict: dict[Any, Any] = Field(default_factory=dict)
    default_value: Any = None

    def values(self, responses: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
        """Look up each response."""
        return [self.mapping_dict.get(text, self.default_value) for text in responses]

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Look up each answer."""
        return _answers(self, answers, choices)


@dataclass(frozen=True)
class PosTags:
    """Keep the tags of pairs such as ``('word', 'NOUN')``; `regex_pos` in lm-eval, whose pattern has no effect."""

    regex_pattern: str = ""
    group_select: int = 0
    fallback: tuple[str, ...] = ("invalid",)

    def values(self, responses: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
        """Find the tags of each response."""
        return [re.findall(r"\('[^']*', '([^']*)'\)", str(text)) or list(self.fallback) for text in responses]

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Find the tags of each answer."""
        return _answers(self, answers, choices)


@dataclass(frozen=True)
class Spans:
    """Bring named entities into the form ``per: name $ loc: place``; `format_span` in lm-eval."""

    def values(self, responses: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
        """Rewrite each response."""
        return [_spans(str(text)) for text in responses]

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Rewrite each answer."""
        return _answers(self, answers, choices)


def _spans(text: str) -> str:
    text = text.lower()
    for label, short in _LABELS.items():
        text = re.sub(rf"\b{label}\s*:", f"{short}:", text)
    text = text.replace("$$", "$").rstrip("$").replace("\n", "$").strip()
    found = []
    for label, names in re.findall(r"\b(PER|LOC|ORG|DATE):\s*([^$]+)", text):
        found += [f"{label.lower()}: {name}" for part in names.split(",") if (name := part.strip()).lower() != "none"]
    return " $ ".join(found)


@dataclass(frozen=True)
class Upper:
    """Write in upper case."""

    def values(self, responses: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
        """Raise each response."""
        return [text.upper() for text in responses]

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Raise each answer."""
        return _answers(self, answers, choices)


@dataclass(frozen=True)
class TakeFirst:
    """Keep the answer of the first of several repeats."""

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Drop all but the first."""
        return answers[:1]


@dataclass(frozen=True)
class TakeFirstK:
    """Keep the answers of the first `k` repeats, such as for a vote among some of them."""

    k: int = Field(default=1, ge=1)

    def apply(self, answers: Answers, choices: tuple[str, ...]) -> Answers:
        """Drop all but the first k."""
        if len(answers) < self.k:
            raise ValueError(f"{self.k} answers are wanted, there are {len(answers)}")
        return answers[: self.k]
