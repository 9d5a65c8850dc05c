"""An invented village: its people, and what is to be known of them."""

from corpus.chance import Dice
from corpus.item import Item

_HEADS = ("Al", "Bor", "Cin", "Dor", "El", "Fen", "Gar", "Hol", "Is", "Jor", "Kel", "Lun", "Mar", "Nor", "Or", "Pel")
_TAILS = ("ba", "den", "fi", "go", "ka", "lin", "mo", "nes", "ra", "vo")
PEOPLE = tuple(head + tail for head in _HEADS for tail in _TAILS)

# fmt: off
VALUES = {
    "town": ("Ashford", "Birk", "Corvo", "Dunmore", "Elsen", "Farley", "Grett", "Holm", "Ivel", "Karst", "Lund", "Mossby"),
    "food": ("bread", "soup", "cheese", "rice", "fish", "honey", "beans", "cake", "pasta", "salad", "porridge", "curry"),
    "colour": ("red", "blue", "green", "yellow", "white", "black", "brown", "purple"),
    "work": ("baker", "doctor", "farmer", "teacher", "painter", "sailor", "singer", "tailor", "miller", "judge"),
    "animal": ("cat", "dog", "goat", "horse", "rabbit", "parrot", "turtle", "duck", "donkey", "mouse"),
}
# fmt: on
STATEMENTS = {
    "town": ("{name} lives in {value}.", "The home of {name} is in {value}."),
    "food": ("{name} likes to eat {value}.", "The favourite food of {name} is {value}."),
    "colour": ("The favourite colour of {name} is {value}.", "{name} always wears {value}."),
    "work": ("{name} works as a {value}.", "The work of {name} is that of a {value}."),
    "animal": ("{name} keeps a {value}.", "The animal of {name} is a {value}."),
}
QUESTIONS = {
    "town": "Where does {name} live?",
    "food": "What does {name} like to eat?",
    "colour": "What is the favourite colour of {name}?",
    "work": "What does {name} work as?",
    "animal": "What animal does {name} keep?",
}
ASKED = ("town", "food", "colour")
"""Attributes of the question-answering task; the others are those of the multiple-choice task."""
CHOSEN = ("work", "animal")


def fact(name: str, attribute: str) -> str:
    """Look up an attribute of a person: fixed by the name alone."""
    return Dice("village", name, attribute).pick(VALUES[attribute])


def profile(dice: Dice) -> Item:
    """Tell everything about one person, in any order and wording; such statements are never held out."""
    name = dice.pick(PEOPLE)
    told = [
        dice.pick(STATEMENTS[attribute]).format(name=name, value=fact(name, attribute))
        for attribute in dice.sample(tuple(VALUES), len(VALUES))
    ]
    return Item(key=f"profile {name}", prompt="", answer=" ".join(told), percent=0)


def question(dice: Dice, attributes: tuple[str, ...] = (*ASKED, *CHOSEN)) -> Item:
    """Ask for one attribute; the question is held out, its fact is told in the statements only."""
    name, attribute = dice.pick(PEOPLE), dice.pick(attributes)
    text, value = QUESTIONS[attribute].format(name=name), fact(name, attribute)
    others = dice.sample([other for other in VALUES[attribute] if other != value], 3)
    options = dice.sample([value, *others], 4)
    return Item(
        key=f"fact {name} {attribute}",
        prompt=f"Question: {text}\nAnswer:",
        answer=f" {value}",
        fields={"question": text, "answer": value, "options": options},
        percent=40,
    )
