"""How a text longer than the context is cut for perplexity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evalharness.request import Windows


class Unanswerable(Exception):  # noqa: N818 - not an error of the program: it becomes the reason of a `Failed`
    """Why a request cannot be answered."""


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens [begin, end) of a text are seen and [scored, end) scored."""

    begin: int
    scored: int
    end: int


def windows(n_tokens: int, *, first: int, size: int, step: int) -> Iterator[Window]:
    """Cut a text: the first window scores `first` tokens, later ones see `size` tokens and score the last `step`.

    Each token is scored exactly once; the last window scores what is left, with its full context.
    """
    end = 0
    while end < n_tokens:
        scored = end
        end = min(n_tokens, end + (step if end else first))
        yield Window(max(0, end - size) if scored else 0, scored, end)


def cut_text(n_tokens: int, first: int, size: int, asked: Windows) -> Iterator[Window]:
    """Cut a text as `asked`; raises `Unanswerable` where the windows would lose tokens."""
    if first < 1:
        raise Unanswerable("the windows are too short to hold a token beside the special tokens")
    step = first if asked.stride is None else asked.stride
    longest = asked.max_tokens or size
    if not 1 <= step <= longest:
        raise Unanswerable(f"a stride of {step} tokens would skip tokens: the windows hold {longest}")
    return windows(n_tokens, first=first, size=size, step=min(step, first))  # special tokens take some of the room
