"""Reviews of one or three judgements; the sentiment is that of the majority."""

from corpus.chance import Dice
from corpus.item import Item

SUBJECTS = ("soup", "room", "film", "music", "waiter", "garden", "bed", "view", "price", "wine", "book", "actor", "tea",
            "train", "hotel", "play")  # fmt: skip
GOOD = ("good", "lovely", "fresh", "kind", "bright", "clean", "great", "funny", "warm", "superb", "gentle", "fair",
        "pleasant", "clever", "fine", "splendid")  # fmt: skip
BAD = ("bad", "awful", "stale", "rude", "dark", "dirty", "poor", "dull", "cold", "ugly", "harsh", "unfair",
       "boring", "stupid", "broken", "horrible")  # fmt: skip
PLAIN = ("was", "was very", "seemed", "was really")
NEGATED = ("was not", "was never", "was hardly", "did not seem")
SENTIMENTS = ("positive", "negative")


def review(dice: Dice, *, is_test: bool = False) -> Item:
    """Write a review; a negation turns its judgement round. Test documents have three judgements."""
    clauses, n_good = [], 0
    n_clauses = 3 if is_test else dice.pick((1, 1, 3))
    for subject in dice.sample(SUBJECTS, n_clauses):
        is_good_word, is_negated = dice.below(2) == 0, dice.below(4) == 0
        verb = dice.pick(NEGATED if is_negated else PLAIN)
        clauses.append(f"the {subject} {verb} {dice.pick(GOOD if is_good_word else BAD)}")
        n_good += is_good_word != is_negated
    text = (", ".join(clauses[:-1]) + " and " if n_clauses > 1 else "") + clauses[-1] + "."
    text = text[0].upper() + text[1:]
    sentiment = SENTIMENTS[0] if 2 * n_good > n_clauses else SENTIMENTS[1]
    return Item(
        key=f"review {text}",
        prompt=f"Review: {text}\nSentiment:",
        answer=f" {sentiment}",
        fields={"review": text, "sentiment": sentiment},
    )
