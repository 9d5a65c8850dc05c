"""Small stories from a grammar, their summaries, and passages to be read with a question."""

from corpus.chance import Dice
from corpus.item import Item

NAMES = ("Tom", "Anna", "Ben", "Mia", "Leo", "Zoe", "Max", "Eva", "Sam", "Ida", "Jon", "Lea", "Kim", "Ron", "Amy",
         "Pia")  # fmt: skip
THINGS = ("hat", "kite", "ball", "boat", "drum", "lamp", "cup", "coat", "bell", "doll", "ring", "flute", "scarf",
          "sled")  # fmt: skip
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "purple")
PLACES = ("in the park", "at the lake", "near the old mill", "in the forest", "on the beach", "behind the school",
          "at the market", "by the river", "under the bridge", "in the garden")  # fmt: skip
TIMES = ("morning", "evening", "day", "afternoon", "night")
BEASTS = ("fox", "dog", "crow", "monkey", "goat", "cat")
MATERIALS = ("paper", "wood", "wool", "straw", "clay", "old cloth")
FEELINGS = ("sad", "ill", "angry", "bored", "lonely", "tired")
WEATHER = ("The sun was warm.", "It was raining.", "The wind was strong.", "Snow was falling.", "The sky was grey.")

PLOTS = (
    (
        "{a} had a {c} {o}. One {t}, {a} went out and lost it {p}. {w} {b} came along and saw the {c} {o}. "
        "{b} asked everyone whose it was. In the end, {b} gave the {o} back to {a}.",
        "{a} lost a {c} {o} {p} and {b} found it.",
    ),
    (
        "{a} had a {c} {o} but wanted a {q}. {b} had a {q} and did not need it. One {t}, they met {p}. {w} "
        "{a} gave the {c} {o} to {b}. Then the {q} was given to {a}.",
        "{a} and {b} traded a {c} {o} for a {q} {p}.",
    ),
    (
        "{b} was {f} and sat alone {p}. {w} {a} wanted to help. That {t}, {a} made a {c} {o} out of {m}. "
        "{a} brought the {o} to {b}. At once {b} felt better and thanked {a}.",
        "{a} made a {c} {o} for {b}, who was {f}.",
    ),
    (
        "One {t}, {a} left a {c} {o} {p}. {w} A {x} came and ran away with it. {b} saw the {x} and ran after it. "
        "The {x} dropped the {c} {o}. Later, {b} brought the {o} home to {a}.",
        "A {x} took the {c} {o} of {a} and {b} got it back.",
    ),
)


def story(dice: Dice, *, is_summarised: bool | None = None) -> Item:
    """Tell a story, plain (for language modelling) or with its summary; None draws which."""
    plot = dice.below(len(PLOTS))
    told, summary = PLOTS[plot]
    a, b = dice.sample(NAMES, 2)
    o, q = dice.sample(THINGS, 2)
    parts = {
        "a": a, "b": b, "o": o, "q": q, "c": dice.pick(COLOURS), "p": dice.pick(PLACES), "t": dice.pick(TIMES),
        "w": dice.pick(WEATHER), "x": dice.pick(BEASTS), "m": dice.pick(MATERIALS), "f": dice.pick(FEELINGS),
    }  # fmt: skip
    text, short = told.format(**parts), summary.format(**parts)
    begin, last = text.rsplit(" ", 1)
    if is_summarised is None:
        is_summarised = dice.below(2) == 0
    return Item(
        # Not the weather nor the time: two stories that differ in these alone count as one.
        key=f"story {plot} {a} {b} {o} {parts['c']} {parts['p']}",
        prompt=f"Story: {text}\nSummary:" if is_summarised else "",
        answer=f" {short}" if is_summarised else text,
        fields={"text": text, "summary": short, "begin": begin, "last": last},
    )


def reading(dice: Dice, *, is_test: bool = False) -> Item:
    """Ask about a passage that tells who owns what: the answer stands in the passage."""
    count = 3 if is_test else dice.between(1, 4)
    names, things, colours = dice.sample(NAMES, count), dice.sample(THINGS, count), dice.sample(COLOURS, count)
    passage = " ".join(f"{n} has a {c} {o}." for n, c, o in zip(names, colours, things, strict=True))
    asked = dice.below(count)
    name, thing, colour = names[asked], things[asked], colours[asked]
    question, answer = dice.pick(
        (
            (f"What does {name} have?", f"{name} has a {colour} {thing}"),
            (f"Who has the {thing}?", f"{name} has the {thing}"),
        )
    )
    return Item(
        key=f"reading {passage}",
        prompt=f"Passage: {passage}\nQuestion: {question}\nAnswer:",
        answer=f" {answer}",
        fields={"passage": passage, "question": question, "answer": answer},
    )
