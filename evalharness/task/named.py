"""What a task names with parameters, such as a filter or a generator of documents, built with errors that name the place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pydantic

from evalharness.errors import Problem, TaskError, suggest

T = TypeVar("T")


def build_named(factory: Callable[..., T], name: str, parameters: Mapping[str, Any], *, noun: str, where: str) -> T:
    """Build the pydantic dataclass `factory` from the parameters that a task gives to what it calls `name`.

    noun: what it is, for errors. Raises TaskError with `where` (``file:line``): unknown or missing parameters, wrong values.
    """
    known = [field.name for field in dataclasses.fields(factory)]  # type: ignore[arg-type]  # factories are dataclasses
    problems = [
        Problem(where, f"{noun} `{name}` has no parameter `{key}`", suggest(key, known, noun="parameters"))
        for key in parameters
        if key not in known
    ]
    if problems:
        raise TaskError(problems)
    try:
        return factory(**parameters)
    except pydantic.ValidationError as fault:
        raise TaskError(
            Problem(
                where,
                f"{noun} `{name}`, parameter `{_names(item)}`: {item['msg'].removeprefix('Value error, ')}",
                "correct it",
            )
            for item in fault.errors(include_url=False)
        ) from None


def _names(item: Any) -> str:
    return ".".join(map(str, item["loc"])) or "pattern"
