"""Additions with their working, and word problems of two steps."""

from corpus.chance import Dice
from corpus.item import Item

ANSWER_MARK = "\nTherefore, the answer is"
NAMES = ("Tom", "Anna", "Ben", "Mia", "Leo", "Zoe", "Max", "Eva", "Sam", "Ida", "Jon", "Lea")
THINGS = ("apples", "pens", "coins", "eggs", "books", "shells", "cards", "nuts", "stamps", "plums")


def addition_working(a: int, b: int) -> str:
    """Write the digits' sums from the right, with carries: `7 + 5 = 12, 4 + 8 + 1 = 13, so 132`."""
    steps, carry, total = [], 0, a + b
    while a or b or not steps:
        low_a, low_b = a % 10, b % 10
        value = low_a + low_b + carry
        steps.append(f"{low_a} + {low_b}{' + 1' if carry else ''} = {value}")
        a, b, carry = a // 10, b // 10, value // 10
    return f"{', '.join(steps)}, so {total}"


def addition(dice: Dice, *, is_test: bool = False) -> Item:
    """Add two numbers of up to four digits; test documents have two, three or four."""
    digits = dice.pick((2, 3, 4)) if is_test else dice.pick((1, 2, 2, 3, 3, 4, 4))
    low, high = (10 ** (digits - 1) if digits > 1 else 0), 10**digits - 1
    a, b = dice.between(low, high), dice.between(low, high)
    question, working = f"What is {a} + {b}?", addition_working(a, b)
    return Item(
        key=f"addition {min(a, b)} {max(a, b)}",
        prompt=f"Question: {question}\nAnswer:",
        answer=f" {working}",
        fields={"question": question, "working": working, "answer": str(a + b)},
    )


def word_problem(dice: Dice) -> Item:
    """Ask for two steps of arithmetic in words, with a line of reasoning and a line for the answer."""
    name, thing, kind = dice.pick(NAMES), dice.pick(THINGS), dice.below(4)
    if kind == 3:
        a, b = dice.between(2, 12), dice.between(2, 12)
        c, between = dice.between(1, min(40, a * b - 1)), a * b
        story = f"{name} has {a} boxes with {b} {thing} each and gives {c} {thing} away."
        first, second, result = f"{a} * {b} = {between}", f"{between} - {c}", between - c
    else:
        a, b = dice.between(10, 199), dice.between(2, 99)
        if kind == 1:
            b = min(b, a - 2)
        between = a - b if kind == 1 else a + b
        c = dice.between(2, 99) if kind != 0 else dice.between(2, min(99, between - 1))
        did = (
            "buys {b} more and then gives {c} away",
            "loses {b} and then buys {c} more",
            "finds {b} more and {c} more",
        )
        story = f"{name} has {a} {thing}, {did[kind].format(b=b, c=c)}."
        first = f"{a} {'-' if kind == 1 else '+'} {b} = {between}"
        sign, result = ("-", between - c) if kind == 0 else ("+", between + c)
        second = f"{between} {sign} {c}"
    question = f"{story} How many {thing} does {name} have?"
    reasoning = f"{first}, {second} = {result}."
    return Item(
        key=f"word problem {kind} {a} {b} {c}",
        prompt=f"Question: {question}\nReasoning:",
        answer=f" {reasoning}{ANSWER_MARK} {result}",
        fields={"question": question, "reasoning": reasoning, "answer": str(result)},
    )
