"""Which document each found answer belongs to: every document has its answers and every answer its document, or it is an error.

By content, where the file holds the documents themselves; by row, where it numbers them; by id; in document order, where no
answer has an id. What does not fit is told all at once, before anything is stored.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalharness.backend.predictions import Found, Place, Prediction, checked
from evalharness.backend.predictions_files import Source
from evalharness.errors import ModelError, Problem, suggest
from evalharness.request import Document
from evalharness.run.fitting import Answers, refuse_unfit
from evalharness.run.preparation import PreparedTask, RunSettings
from evalharness.task.documents import read_split
from evalharness.task.prompts import make_documents

#: How many ids, and how many problems, a message names.
MAX_NAMED = 20


@dataclass(slots=True)
class Matched:
    """The predictions by what they answer. n_left_out: answers for other tasks, and for documents beyond the limit."""

    predictions: dict[Place, Prediction] = field(default_factory=dict)
    n_left_out: int = 0


def match(source: Source, tasks: Sequence[PreparedTask], settings: RunSettings) -> Matched:
    """Find the document of every answer.

    Raises ModelError, all problems at once: documents without an answer, answers of unknown documents, two answers to one
    question, answers that do not fit what the task asks.
    """
    problems: list[Problem] = []
    matched = Matched()
    if len(tasks) > 1 and any(
        found.answer.get("task") is None and not _names_a_document(found) for found in source.found
    ):
        fix = "give one task with -t, or a `task` and a `document_id` in each row"
        raise ModelError.at(
            source.origin, f"{len(tasks)} tasks, and answers that do not say which one they are for", fix
        )
    known: set[int] = set()
    all_identified = True
    for task in tasks:
        mine = {i: found for i, found in enumerate(source.found) if found.answer.get("task") in (None, task.name)}
        documents = _all_documents(task, settings)
        if not mine:
            named = sorted({str(found.answer.get("task")) for found in source.found})
            what = f"no prediction is for task `{task.name}`"
            problems.append(Problem(source.origin, what, suggest(task.name, named, noun="tasks in this file")))
            continue
        ids = _identified(mine, task, documents, source, problems)
        if ids is None:
            all_identified = False
            continue
        known.update(ids)
        answers = _answers(mine, ids, task, problems)
        refuse_unfit(task, answers, problems, source.origin)
        wanted = {asked.document.id for asked in task.asked}
        matched.n_left_out += sum(name not in wanted for name in ids.values())
        matched.predictions.update(
            {place: prediction for place, (prediction, _) in answers.items() if prediction.document_id in wanted}
        )
    if all_identified:
        _refuse_unknown(source, tasks, known, problems)
    if problems:
        raise ModelError(_capped(problems))
    matched.n_left_out += len(source.found) - len(known)
    return matched


def _names_a_document(found: Found) -> bool:
    return found.document_id is not None and found.row is None and found.columns is None


def _all_documents(task: PreparedTask, settings: RunSettings) -> list[Document]:
    """Return all documents of the split: predictions for those beyond the limit are known, and left out."""
    if settings.limit is None:
        return [asked.document for asked in task.asked]
    data = task.task.spec.data
    return make_documents(
        task.task, read_split(data, data.split, where=task.task.where("data"), mirror=settings.data_root)
    )


def _identified(
    mine: Mapping[int, Found],
    task: PreparedTask,
    documents: Sequence[Document],
    source: Source,
    problems: list[Problem],
) -> dict[int, str] | None:
    """Return the document's id of each answer by the answer's number; unknown ones are left out, or told where they are all."""
    if all(found.columns is not None for found in mine.values()):
        return _by_content(mine, documents, problems)
    by_row = task.task.spec.id is None and any(found.row is not None or found.is_counted for found in mine.values())
    if by_row or all(found.document_id is None and found.row is not None for found in mine.values()):
        return _by_row(mine, documents, problems)
    without = [found.where for found in mine.values() if found.document_id is None]
    if len(without) == len(mine):
        return _in_order(mine, task, documents, source, problems)
    if without:
        what = f"{len(without)} answers have no document_id, and others have one: {_named(without)}"
        problems.append(Problem(source.origin, what, "give every row a `document_id`, or none"))
        return None
    ids = {document.id for document in documents}
    return {i: str(found.document_id) for i, found in mine.items() if found.document_id in ids}


def _by_row(mine: Mapping[int, Found], documents: Sequence[Document], problems: list[Problem]) -> dict[int, str] | None:
    numberless = [found for found in mine.values() if found.row is None]
    if numberless:
        what = f"sample {numberless[0].document_id!r} may be a count: the samples were shuffled or picked"
        fix = "give the samples ids in the data set, and the task the same ones with `id:`"
        problems.append(Problem(numberless[0].where, what, fix))
        return None
    return {i: documents[found.row].id for i, found in mine.items() if found.row in range(len(documents))}  # type: ignore[index]  # a number, see above


def _by_content(
    mine: Mapping[int, Found], documents: Sequence[Document], problems: list[Problem]
) -> dict[int, str] | None:
    """Compare the columns that both sides have; among equal documents the one in the answer's row is meant."""
    theirs = _shared([found.columns or {} for found in mine.values()])
    shared = sorted(theirs & _shared([document.fields for document in documents]))
    first = next(iter(mine.values()))
    if not shared:
        what = f"its documents share no column with the task's: {', '.join(sorted(theirs)) or 'none'}"
        fix = f"the task's columns: {', '.join(documents[0].fields)}; write plain predictions with a `document_id` instead"
        problems.append(Problem(first.where, what, fix))
        return None
    rows: dict[str, list[int]] = defaultdict(list)
    for row, document in enumerate(documents):
        rows[_content(document.fields, shared)].append(row)
    ids: dict[int, str] = {}
    for i, found in mine.items():
        fitting = rows.get(_content(found.columns or {}, shared), [])
        if found.row is not None and found.row in fitting:
            ids[i] = documents[found.row].id
        elif len(fitting) == 1:
            ids[i] = documents[fitting[0]].id
        elif fitting:
            names = _named(documents[row].id for row in fitting)
            what = f"its document {found.row} equals {len(fitting)} of the task's: {names}"
            problems.append(Problem(found.where, what, "write plain predictions with a `document_id` instead"))
        else:
            what = f"its document {found.row} is none of the task's (compared: {', '.join(shared)})"
            problems.append(Problem(found.where, what, "the task must read the same data, in `data:`"))
    return ids


def _shared(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the columns that all rows have."""
    names = set(rows[0])
    for row in rows:
        names &= row.keys()
    return names


def _content(fields: Mapping[str, Any], names: Iterable[str]) -> str:
    """Write some columns so that equal documents look equal: a CSV file's "1" is another reader's 1."""

    def plain(value: Any) -> Any:
        match value:
            case dict():
                return {str(key): plain(inner) for key, inner in value.items()}
            case list() | tuple():
                return [plain(inner) for inner in value]
            case _:
                return value if isinstance(value, str) else json.dumps(value, default=str)

    return json.dumps([plain(fields.get(name)) for name in names], sort_keys=True)


def _in_order(
    mine: Mapping[int, Found],
    task: PreparedTask,
    documents: Sequence[Document],
    source: Source,
    problems: list[Problem],
) -> dict[int, str] | None:
    """Give the answers to the documents in order; of several a document, its repeats follow one another or are numbered."""
    sequences: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    for i, found in mine.items():
        sequences[found.answer.get("slot", 0), found.answer.get("repeat")].append(i)
    ids: dict[int, str] = {}
    for (_, repeat), members in sequences.items():
        each = task.task.spec.repeats if repeat is None else 1
        fitting = [n for n in (len(task.asked), len(documents)) if n * each == len(members)]
        if not fitting:
            asked = f"{len(task.asked)} documents" + (f" of {each} answers" if each > 1 else "")
            what = f"task `{task.name}` has {asked}, the file {len(members)} answers without a document_id"
            fix = f"give each row a `document_id`, or an answer a document (--limit N for the first N of {len(documents)})"
            problems.append(Problem(source.origin, what, fix))
            return None
        ids.update({i: documents[position // each].id for position, i in enumerate(members)})
    return ids


def _answers(mine: Mapping[int, Found], ids: Mapping[int, str], task: PreparedTask, problems: list[Problem]) -> Answers:
    """Make predictions of what was found; answers of one document without `repeat` are its repeats, in order."""
    asked = Counter((ids[i], mine[i].answer.get("slot", 0)) for i in ids if "repeat" not in mine[i].answer)
    seen: Counter[tuple[str, Any]] = Counter()
    answers: Answers = {}
    twice: dict[str, list[str]] = defaultdict(list)
    for i, document_id in ids.items():
        found = mine[i]
        data = {**found.answer, "task": task.name, "document_id": document_id}
        one = (document_id, data.get("slot", 0))
        if "repeat" not in data and 1 < asked[one] <= task.task.spec.repeats:
            data["repeat"] = seen[one]
            seen[one] += 1
        prediction = checked(data, found.where, problems)
        if prediction is None:
            continue
        if prediction.place in answers:
            earlier = answers[prediction.place][1].where
            twice[document_id] += [found.where] if twice[document_id] else [earlier, found.where]
        else:
            answers[prediction.place] = (prediction, found)
    if twice:
        named = _named(
            f"{name!r} ({', '.join(where.rpartition(':')[2] for where in at)})" for name, at in twice.items()
        )
        what = f"{len(twice)} documents of task `{task.name}` are answered twice (lines): {named}"
        fix = f"remove lines, or number the answers with `repeat` (this task asks for {task.task.spec.repeats} a document)"
        problems.append(Problem(next(iter(mine.values())).where.rpartition(":")[0], what, fix))
    return answers


def _refuse_unknown(source: Source, tasks: Sequence[PreparedTask], known: set[int], problems: list[Problem]) -> None:
    names = {task.name for task in tasks}
    unknown = [
        found
        for i, found in enumerate(source.found)
        if i not in known and found.columns is None and found.answer.get("task") in (None, *names)
    ]
    if not unknown:
        return
    given = list(
        dict.fromkeys(str(found.document_id if found.document_id is not None else found.row) for found in unknown)
    )
    have = [asked.document.id for task in tasks for asked in task.asked]
    where = unknown[0].where if len(unknown) == 1 else source.origin
    what = f"{len(given)} document ids are unknown to task {', '.join(f'`{name}`' for name in sorted(names))}: {_named(given)}"
    problems.append(Problem(where, what, suggest(given[0], have, noun="ids", limit=10)))


def _named(names: Iterable[str]) -> str:
    texts = list(names)
    more = len(texts) - MAX_NAMED
    return ", ".join(texts[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _capped(problems: Sequence[Problem]) -> list[Problem]:
    more = len(problems) - MAX_NAMED
    rest = [Problem("", f"... and {more} more problems")] if more > 0 else []
    return [*problems[:MAX_NAMED], *rest]
