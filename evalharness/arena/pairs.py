"""Which answers a person is shown next: two models whose order is least certain, a document that they both answered.

Source of the weights: Chiang et al. 2024, "Chatbot Arena", arXiv:2403.04132, section 5: a pair is drawn in proportion to
how much one more vote narrows what is known of it. A floor keeps every pair in play, so that no early streak hides a model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalharness.arena.answers import AnsweredTask, StoredAnswer
from evalharness.request import Prompt

FloatArray = npt.NDArray[np.float64]

#: The share of draws that go to all pairs alike.
FLOOR = 0.25
#: Pairs that are tried before a person is told that nothing is left; each may mean reading two files.
_MOST_DRAWS = 60

PairCounts = Mapping[tuple[str, str], tuple[int, int, int]]
Answers = Mapping[str, StoredAnswer]
Reader = Callable[[AnsweredTask], Answers]
#: By task, then by model.
Answered = Mapping[str, Mapping[str, AnsweredTask]]


@dataclass(frozen=True, slots=True)
class Shown:
    """One side of a match: whose answer it is, which nobody may be told before the vote."""

    model: str
    run_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """Two answers to one document, in the order in which they are shown."""

    task: str
    document_id: str
    input_hash: str
    prompt: Prompt
    first: Shown
    second: Shown


@dataclass(frozen=True, slots=True)
class Single:
    """One answer to one document, to be rated by itself."""

    task: str
    document_id: str
    input_hash: str
    prompt: Prompt
    answer: Shown


def pair_probabilities(models: Sequence[str], counts: PairCounts, *, floor: float = FLOOR) -> FloatArray:
    """Return with what probability each pair of M models is drawn: (P,), pairs in the order of ``numpy.triu_indices(M, 1)``.

    (1 - floor) w / sum(w) + floor / P, where w = sqrt(v / (n + 1)) - sqrt(v / (n + 2)) for n votes whose outcomes (1, 1/2
    for a tie, 0) have variance v, half a win for each side added: what one more vote takes off the standard error.
    counts: wins of the one, ties, wins of the other, by models in alphabetical order.
    Raises ValueError for fewer than two models, and a floor outside (0, 1].
    """
    m = len(models)
    if m < 2 or not 0 < floor <= 1:
        raise ValueError(f"a pair of {m} models with a floor of {floor}")
    places = {model: i for i, model in enumerate(models)}
    wins, ties = np.zeros((m, m)), np.zeros((m, m))
    for (one, other), (one_wins, tied, other_wins) in counts.items():
        if one in places and other in places:
            i, j = sorted((places[one], places[other]))
            wins[i, j] = one_wins if i == places[one] else other_wins
            ties[i, j] = tied
            wins[j, i] = one_wins + other_wins - wins[i, j]
    upper = np.triu_indices(m, 1)
    n = (wins + wins.T + ties)[upper]
    share = (wins[upper] + ties[upper] / 2 + 0.5) / (n + 1)
    variance = (wins[upper] + ties[upper] / 4 + 0.5) / (n + 1) - share**2
    gain = np.sqrt(variance / (n + 1)) - np.sqrt(variance / (n + 2))
    found: FloatArray = (1 - floor) * gain / gain.sum() + floor / len(gain)
    return found


def sides(pair: tuple[str, str], rng: np.random.Generator) -> tuple[str, str]:
    """Return the two in random order."""
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def draw_document(
    one: Answers, other: Answers, judged: Collection[str], rng: np.random.Generator
) -> tuple[StoredAnswer, StoredAnswer] | None:
    """Return two answers to one document that the voter has not judged; None where none is left.

    Answers that are equal but for white space at their ends are never shown: there is nothing to prefer.
    """
    left = [
        key
        for key in sorted(one.keys() & other.keys())
        if key not in judged and one[key].text.strip() != other[key].text.strip()
    ]
    if not left:
        return None
    key = left[rng.integers(len(left))]
    return one[key], other[key]


def by_task(answered: Iterable[AnsweredTask]) -> Answered:
    """Return what was answered by task and model, both in alphabetical order."""
    found: dict[str, dict[str, AnsweredTask]] = {}
    for each in sorted(answered, key=lambda entry: (entry.task, entry.model)):
        found.setdefault(each.task, {})[each.model] = each
    return found


def draw_match(
    answered: Answered,
    counts: PairCounts,
    judged: Callable[[str, tuple[str, str]], Collection[str]],
    read: Reader,
    rng: np.random.Generator,
) -> Match | None:
    """Draw a task, then two models that answered it, then a document; None where nothing was found that is left to judge.

    judged: from task and pair to the `input_hash`es that the voter has judged. read: the answers of a model to a task.
    Raises StoreError when samples cannot be read.
    """
    comparable = [task for task, models in answered.items() if len(models) > 1]
    chances: dict[tuple[str, ...], FloatArray] = {}
    order: dict[str, list[int]] = {}
    for _ in range(_MOST_DRAWS):
        open_tasks = [task for task in comparable if task not in order or order[task]]
        if not open_tasks:
            return None
        task = open_tasks[rng.integers(len(open_tasks))]
        models = answered[task]
        names = list(models)
        if task not in order:
            if tuple(names) not in chances:  # most tasks were answered by the same models
                chances[tuple(names)] = pair_probabilities(names, counts)
            p = chances[tuple(names)]
            order[task] = list(rng.choice(len(p), min(_MOST_DRAWS, len(p)), replace=False, p=p))
        place = order[task].pop(0)
        upper = np.triu_indices(len(names), 1)
        first, second = sides((names[upper[0][place]], names[upper[1][place]]), rng)
        found = draw_document(read(models[first]), read(models[second]), judged(task, (first, second)), rng)
        if found is not None:
            one, other = found
            return Match(
                task,
                one.document_id,
                one.input_hash,
                one.prompt,
                Shown(first, models[first].run_id, one.text),
                Shown(second, models[second].run_id, other.text),
            )
    return None


def draw_single(
    answered: Answered,
    rated: Callable[[str, str], Collection[str]],
    read: Reader,
    rng: np.random.Generator,
) -> Single | None:
    """Draw one answer that the voter has not rated, all tasks alike and all their models alike; None where none was found.

    rated: from task and model to the `input_hash`es that the voter has rated. Raises StoreError when samples cannot be read.
    """
    tasks = list(answered)
    for place in rng.permutation(len(tasks)):
        task = tasks[place]
        models = list(answered[task])
        for number in rng.permutation(len(models))[:_MOST_DRAWS]:
            entry = answered[task][models[number]]
            answers, done = read(entry), rated(task, entry.model)
            left = [key for key in sorted(answers) if key not in done]
            if left:
                answer = answers[left[rng.integers(len(left))]]
                shown = Shown(entry.model, entry.run_id, answer.text)
                return Single(task, answer.document_id, answer.input_hash, answer.prompt, shown)
    return None
