"""The documents of the demo tasks: test items are held out of training, shots are not."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from corpus import arithmetic, facts, functions, numbers, reviews, stories
from corpus.chance import Dice
from corpus.item import Item, Value
from corpus.training import FAMILIES, draw


def any_text(dice: Dice) -> Item:
    """Make the whole text of an item of any family; profiles are left out, since none is held out."""
    name = dice.pick(sorted(FAMILIES.keys() - {"profile"}))
    item = FAMILIES[name].make(dice)
    return replace(item, fields={"text": item.text})


class DemoTask(NamedTuple):
    """Where a demo task's documents come from, and which fields they hold."""

    make: Callable[[Dice], Item]
    fields: tuple[str, ...]
    n_test: int = 128
    n_shots: int = 8


DEMO_TASKS = {
    "demo_language_modelling": DemoTask(any_text, ("text",), 64, 0),
    "demo_last_word": DemoTask(partial(stories.story, is_summarised=False), ("begin", "last"), n_shots=0),
    "demo_summary": DemoTask(partial(stories.story, is_summarised=True), ("text", "summary"), n_shots=0),
    "demo_translate_de": DemoTask(partial(numbers.translation, language="German", is_test=True), ("source", "target")),
    "demo_translate_fr": DemoTask(partial(numbers.translation, language="French", is_test=True), ("source", "target")),
    "demo_translate_zh": DemoTask(partial(numbers.translation, language="Chinese", is_test=True), ("source", "target")),
    "demo_qa": DemoTask(partial(facts.question, attributes=facts.ASKED), ("question", "answer"), n_shots=0),
    "demo_multiple_choice": DemoTask(
        partial(facts.question, attributes=facts.CHOSEN), ("question", "answer", "options"), n_test=100, n_shots=0
    ),
    "demo_reading": DemoTask(partial(stories.reading, is_test=True), ("passage", "question", "answer")),
    "demo_arithmetic": DemoTask(partial(arithmetic.addition, is_test=True), ("question", "working", "answer")),
    "demo_word_problems": DemoTask(arithmetic.word_problem, ("question", "reasoning", "answer"), n_shots=0),
    "demo_code": DemoTask(partial(functions.function, is_test=True), ("signature", "body", "tests"), n_shots=0),
    "demo_sentiment": DemoTask(partial(reviews.review, is_test=True), ("review", "sentiment")),
}


def items(name: str, split: str) -> list[Item]:
    """Draw the items of one split (`test` or `shots`), with no key twice."""
    task, dice, found = DEMO_TASKS[name], Dice(name, split), dict[str, Item]()
    while len(found) < (task.n_test if split == "test" else task.n_shots):
        item = draw(task.make, dice, for_test=split == "test")
        found.setdefault(item.key, item)
    return list(found.values())


def rows(name: str, split: str) -> list[dict[str, Value]]:
    """Give the documents of one split as rows of its jsonl file."""
    fields = DEMO_TASKS[name].fields
    return [
        {"id": f"{split}-{number:03d}", **{field: item.fields[field] for field in fields}}
        for number, item in enumerate(items(name, split))
    ]
