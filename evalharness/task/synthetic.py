"""Documents that code makes: the same from the same parameters, today and in ten years.

Every draw is a hash of the seed, the split and the draw's place; no library's generator of random numbers enters, whose
stream may change from version to version. So a test set of any size needs no file, and was in no model's training data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass

from evalharness.errors import TaskError, suggest
from evalharness.request import derived_seed
from evalharness.task.named import build_named
from evalharness.task.spec import SyntheticSpec

Row = dict[str, Any]


def _options(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_FIRST_NAMES = _options(
    "Ada|Bruno|Carla|Dmitri|Elena|Farid|Greta|Hugo|Ines|Jonas|Keiko|Liam|Mara|Nadia|Oscar|Petra|Quentin|Rosa"
    "|Sven|Tara|Umar|Vera|Walter|Xenia|Yusuf|Zora|Alice|Boris|Chloe|Dario|Emil|Fatima|Gustav|Hanna|Igor|Julia"
    "|Kofi|Lena|Miguel|Nora|Olaf|Priya"
)
_LAST_NAMES = _options(
    "Abel|Bishop|Carver|Drake|Engel|Fischer|Grant|Holm|Ivanov|Jensen|Keller|Lindt|Moreau|Novak|Okafor|Pinto"
    "|Quist|Romero|Sato|Turner|Ueda|Vogel|Weber|Xu|Young|Zhang|Archer|Becker|Costa|Dubois|Evans|Fujita|Garcia"
    "|Hansen|Iyer|Jovanovic"
)
_TOWNS = _options(
    "Arden|Brenwick|Calder|Dunmore|Elsby|Farrow|Glenholt|Harwick|Ismere|Jarrow|Kelby|Lorne|Marsden|Norby|Ostrand"
)
_SUBJECTS = _options(
    "The miller|An old sailor|The night train|Her neighbour|A small dog|The librarian|The river"
    "|A travelling band|The clock|Every second cart|The schoolmaster|A flock of geese|The youngest baker"
    "|The ferry|Our postman|The north wind"
)
_VERBS = _options(
    "crossed|followed|waited beside|looked after|returned to|kept away from|was painted near|slept behind"
    "|walked around|left|was heard from|came back to|hurried past|rested at"
)
_PLACES = _options(
    "the stone bridge|the empty market|the orchard|the harbour wall|a field of barley|the town hall"
    "|the old mill|the station|a row of lime trees|the quarry|the bakery|the lighthouse stairs|the chapel"
    "|the upper meadow|the fish market"
)
_TIMES = _options(
    "in the early morning|before the rain began|on market day|late in the autumn|while the bells rang"
    "|without any hurry|after a long winter|as it did every year|under a grey sky|when the lamps were lit"
    "|for the second time that week"
)


class Generator(Protocol):
    """A frozen dataclass whose fields are its parameters."""

    def rows(self, split: str) -> Iterator[Row]:
        """Make the documents of a split; different splits have different documents."""
        ...


def _drawn(options: Sequence[Any], *place: object) -> Any:
    return options[derived_seed(*place) % len(options)]


def _distinct(options: Sequence[str], n: int, *place: object) -> list[str]:
    """Draw n different options, in the order in which they are drawn."""
    return sorted(options, key=lambda option: derived_seed(*place, option))[:n]


@dataclass(frozen=True)
class LastLetters:
    """Names of `n_words` words, and the last letters of the words (Wei et al. 2022, arXiv:2201.11903, symbolic reasoning).

    Columns: words (list), name (the words, with blanks), answer. A name occurs once. The paper's lists of names are not
    these.
    """

    n_documents: Annotated[int, Field(ge=1, le=100_000)] = 500
    n_words: Annotated[int, Field(ge=1, le=8)] = 2
    seed: int = 0

    def rows(self, split: str) -> Iterator[Row]:
        """Yield the documents."""
        seen: set[tuple[str, ...]] = set()
        attempt = 0
        while len(seen) < self.n_documents:
            place = ("last_letters", self.seed, split, self.n_words, attempt)
            words = [_drawn((_FIRST_NAMES, _LAST_NAMES)[i % 2], *place, i) for i in range(self.n_words)]
            attempt += 1
            if attempt > 50 * self.n_documents:
                raise ValueError(f"there are fewer than {self.n_documents} names of {self.n_words} words")
            if tuple(words) not in seen:
                seen.add(tuple(words))
                yield {"words": words, "name": " ".join(words), "answer": "".join(word[-1] for word in words).lower()}


@dataclass(frozen=True)
class CoinFlip:
    """A coin that `n_people` turn over or not, one after the other, and whether it is still heads up (Wei et al. 2022).

    Columns: story (sentences), flips (list of booleans), answer (yes or no).
    """

    n_documents: Annotated[int, Field(ge=1, le=100_000)] = 500
    n_people: Annotated[int, Field(ge=1, le=20)] = 2
    seed: int = 0

    def rows(self, split: str) -> Iterator[Row]:
        """Yield the documents."""
        for number in range(self.n_documents):
            place = ("coin_flip", self.seed, split, self.n_people, number)
            people = _distinct(_FIRST_NAMES, self.n_people, *place)
            flips = [_drawn((True, False), *place, "flip", i) for i in range(self.n_people)]
            said = [
                f"{name} {'flips' if flip else 'does not flip'} the coin."
                for name, flip in zip(people, flips, strict=True)
            ]
            yield {"story": " ".join(said), "flips": flips, "answer": "yes" if sum(flips) % 2 == 0 else "no"}


@dataclass(frozen=True)
class Needle:
    """One sentence to find again in a long text, for every length and depth; `per_cell` documents of each.

    lengths_words: words of the text, the needle included. depths: where the needle stands, 0 at the beginning and 1 at the
    end, between sentences. n_distractors: sentences of the same form about other towns, spread over the text.
    Columns: text, question, answer (seven digits), length_words, depth, needle.
    After the test of G. Kamradt, "Needle in a haystack" (2023); the filler sentences are made here, so that no essay known
    to models stands around the needle.
    """

    lengths_words: Annotated[tuple[Annotated[int, Field(ge=50, le=2_000_000)], ...], Field(min_length=1)] = (
        500,
        1000,
        2000,
    )
    depths: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (
        0.0,
        0.25,
        0.5,
        0.75,
        1.0,
    )
    per_cell: Annotated[int, Field(ge=1, le=10_000)] = 4
    n_distractors: Annotated[int, Field(ge=0, le=14)] = 0
    seed: int = 0

    def rows(self, split: str) -> Iterator[Row]:
        """Yield the documents, lengths outermost."""
        for length in self.lengths_words:
            for depth in self.depths:
                for number in range(self.per_cell):
                    yield self._row(length, depth, ("needle", self.seed, split, length, depth, number))

    def _row(self, length: int, depth: float, place: tuple[object, ...]) -> Row:
        towns = _distinct(_TOWNS, 1 + self.n_distractors, *place, "towns")
        codes = [str(1_000_000 + derived_seed(*place, "code", town) % 9_000_000) for town in towns]
        said = [f"The access code of the archive in {town} is {code}." for town, code in zip(towns, codes, strict=True)]
        n_fillers = max(1, length - sum(len(sentence.split()) for sentence in said))
        sentences = list(_fillers(n_fillers, place))
        for i, sentence in enumerate(said[1:]):
            sentences.insert(derived_seed(*place, "place", i) % (len(sentences) + 1), sentence)
        sentences.insert(round(depth * len(sentences)), said[0])
        return {
            "text": " ".join(sentences),
            "question": f"What is the access code of the archive in {towns[0]}?",
            "answer": codes[0],
            "length_words": length,
            "depth": depth,
            "needle": said[0],
        }


def _fillers(n_words: int, place: tuple[object, ...]) -> Iterator[str]:
    """Yield sentences until n_words are reached; the last is cut there."""
    number = 0
    while n_words > 0:
        here = (*place, "filler", number)
        parts = [_drawn(options, *here, i) for i, options in enumerate((_SUBJECTS, _VERBS, _PLACES, _TIMES))]
        words = " ".join(parts).split()[:n_words]
        n_words -= len(words)
        number += 1
        yield " ".join(words) + "."


GENERATORS: Mapping[str, type[Generator]] = {"coin_flip": CoinFlip, "last_letters": LastLetters, "needle": Needle}


def make_rows(spec: SyntheticSpec, split: str, *, where: str) -> list[Row]:
    """Make the documents of a split.

    Raises TaskError with `where` (``file:line``): unknown generator, unknown parameter, or values that cannot be met.
    """
    if spec.name not in GENERATORS:
        fix = suggest(spec.name, GENERATORS, noun="generators")
        raise TaskError.at(where, f"unknown generator of documents `{spec.name}`", fix)
    generator = build_named(GENERATORS[spec.name], spec.name, spec.parameters, noun="generator", where=where)
    try:
        return list(generator.rows(split))
    except ValueError as fault:
        raise TaskError.at(where, f"generator `{spec.name}`: {fault}", "ask for fewer documents") from None
