"""The training documents: families of items in fixed shares, one to four items to a document."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from corpus import arithmetic, facts, functions, numbers, reviews, stories
from corpus.chance import Dice, is_held_out
from corpus.item import Item

SEPARATOR = "\n\n"
N_DOCUMENTS = 120_000


class Family(NamedTuple):
    """One kind of item in the training mix."""

    make: Callable[[Dice], Item]
    share: int
    """Documents of this family per 100."""
    most_blocks: int
    """A document holds one to this many items, so that few-shot prompts are familiar."""


FAMILIES = {
    "addition": Family(arithmetic.addition, 14, 3),
    "word_problem": Family(arithmetic.word_problem, 12, 2),
    "german": Family(lambda dice: numbers.translation(dice, "German"), 7, 3),
    "chinese": Family(lambda dice: numbers.translation(dice, "Chinese"), 8, 3),
    "french": Family(lambda dice: numbers.translation(dice, "French"), 3, 3),
    "profile": Family(facts.profile, 9, 1),
    "question": Family(facts.question, 7, 3),
    "story": Family(stories.story, 13, 1),
    "reading": Family(stories.reading, 13, 3),
    "review": Family(reviews.review, 7, 3),
    "function": Family(functions.function, 7, 2),
}

Document = list[Item]


def is_test_item(item: Item) -> bool:
    """Whether the item may stand in test documents, and so never in training."""
    return is_held_out(item.key, item.percent)


def draw(make: Callable[[Dice], Item], dice: Dice, *, for_test: bool) -> Item:
    """Draw items until one is on the wanted side."""
    while True:
        item = make(dice)
        if is_test_item(item) == for_test:
            return item


def training_documents(n_documents: int = N_DOCUMENTS, seed: int = 1) -> Iterator[Document]:
    """Make the training corpus, document by document; equal seeds give equal corpora."""
    dice = Dice("zoo", seed)
    by_share = [name for name, family in FAMILIES.items() for _ in range(family.share)]
    for _ in range(n_documents):
        family = FAMILIES[dice.pick(by_share)]
        count = dice.between(1, family.most_blocks)
        yield [draw(family.make, dice, for_test=False) for _ in range(count)]


def text_of(document: Document) -> str:
    """Join a document's items as a few-shot prompt does."""
    return SEPARATOR.join(item.text for item in document)
