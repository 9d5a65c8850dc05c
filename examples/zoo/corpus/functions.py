"""Small Python functions with their descriptions."""

from collections.abc import Callable
from typing import NamedTuple

from corpus.chance import Dice
from corpus.item import Item


class Operation(NamedTuple):
    """One step of a function: its words, its code, and what it does."""

    words: str
    code: str
    apply: Callable


def _number_operation(dice: Dice) -> Operation:
    k = dice.between(2, 29)
    return dice.pick(
        (
            Operation(f"add {k}", f"x = x + {k}", lambda x: x + k),
            Operation(f"subtract {k}", f"x = x - {k}", lambda x: x - k),
            Operation(f"multiply by {k}", f"x = x * {k}", lambda x: x * k),
            Operation(f"divide by {k}", f"x = x // {k}", lambda x: x // k),
            Operation(f"take the remainder by {k}", f"x = x % {k}", lambda x: x % k),
            Operation(f"raise to at least {k}", f"x = max(x, {k})", lambda x: max(x, k)),
            Operation(f"lower to at most {k}", f"x = min(x, {k})", lambda x: min(x, k)),
            Operation(f"subtract from {k}", f"x = {k} - x", lambda x: k - x),
            Operation("double", "x = x + x", lambda x: x + x),
            Operation("square", "x = x * x", lambda x: x * x),
            Operation("change the sign", "x = -x", lambda x: -x),
        )
    )


def _list_operation(dice: Dice) -> Operation:
    k = dice.between(2, 29)
    return dice.pick(
        (
            Operation(
                "keep the even numbers", "x = [n for n in x if n % 2 == 0]", lambda x: [n for n in x if n % 2 == 0]
            ),
            Operation(
                "keep the odd numbers", "x = [n for n in x if n % 2 == 1]", lambda x: [n for n in x if n % 2 == 1]
            ),
            Operation(
                f"keep the numbers over {k}", f"x = [n for n in x if n > {k}]", lambda x: [n for n in x if n > k]
            ),
            Operation(
                f"keep the numbers under {k}", f"x = [n for n in x if n < {k}]", lambda x: [n for n in x if n < k]
            ),
            Operation(
                f"keep the multiples of {k}",
                f"x = [n for n in x if n % {k} == 0]",
                lambda x: [n for n in x if n % k == 0],
            ),
            Operation("square each", "x = [n * n for n in x]", lambda x: [n * n for n in x]),
            Operation(f"add {k} to each", f"x = [n + {k} for n in x]", lambda x: [n + k for n in x]),
            Operation(f"multiply each by {k}", f"x = [n * {k} for n in x]", lambda x: [n * k for n in x]),
            Operation("sort", "x = sorted(x)", sorted),
            Operation("reverse", "x = x[::-1]", lambda x: x[::-1]),
            Operation("drop the first", "x = x[1:]", lambda x: x[1:]),
            Operation("drop the last", "x = x[:-1]", lambda x: x[:-1]),
        )
    )


_ENDS = (
    Operation("return it", "return x", lambda x: x),
    Operation("return the sum", "return sum(x)", sum),
    Operation("return the length", "return len(x)", len),
    Operation("return the largest", "return max(x, default=0)", lambda x: max(x, default=0)),
)


def function(dice: Dice, *, is_test: bool = False) -> Item:
    """Describe a function of one number or one list, and write its body; `tests` are assertions that it passes."""
    is_list = dice.below(2) == 0
    count = dice.pick((2, 3, 4)) if is_test else dice.pick((1, 2, 2, 3, 3, 4))
    make = _list_operation if is_list else _number_operation
    steps = [make(dice) for _ in range(count)] + [dice.pick(_ENDS) if is_list else _ENDS[0]]
    arguments = [[3, 28, 5, 12, 7], [16, 1, 24, 9]] if is_list else [4, 11]
    tests = []
    for argument in arguments:
        value = argument
        for step in steps:
            value = step.apply(value)
        tests.append(f"assert f({argument}) == {value}")
    description = ", ".join(step.words for step in steps).capitalize() + "."
    signature = f'def f(x):\n    """{description}"""'
    body = "\n    ".join(step.code for step in steps)
    return Item(
        key=f"function {description}",
        prompt=signature,
        answer=f"\n    {body}",
        fields={"signature": signature, "body": body, "tests": tests},
    )
