"""From answers to programs: what the sandbox is given to run, and how it judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalharness.errors import DataError, TaskError
from evalharness.request import Document
from evalharness.sandbox.program import Case, Cases, FunctionTests, Limits, Program
from evalharness.task.loading import LoadedTask
from evalharness.task.templates import Template

_PAIRS = (("input", "output"), ("stdin", "stdout"), ("inputs", "outputs"))


class ProgramTemplates:
    """The compiled templates of a task's `execute:`; raises TaskError for one that does not compile."""

    def __init__(self, task: LoadedTask) -> None:
        spec = task.spec.execute
        if spec is None:
            raise TaskError.at(task.where(), "the task does not execute answers", "add `execute:`")
        self._task = task
        self._program = self._required(spec.program, "program")
        self._tests = self._required(spec.tests, "tests") if spec.tests is not None else None
        self._entry_point = self._required(spec.entry_point, "entry_point") if spec.entry_point is not None else None
        self._cases = self._required(spec.cases, "cases") if spec.cases is not None else None
        self.limits = Limits(wall_seconds=spec.timeout_seconds, memory_bytes=spec.memory_mb * 2**20)

    def program(self, document: Document, answer: str) -> Program:
        """Return the program that an answer makes.

        Templates see the document's columns and ``answer``; a column of that name is ``document["answer"]``.
        Raises DataError: a missing column, or cases that are no pairs of texts.
        """
        context = {**document.fields, "document": document.fields, "answer": answer}
        source = self._program.render(context, document.id)
        if self._tests is not None:
            entry = self._entry_point.render(context, document.id) if self._entry_point else None
            return Program(source, FunctionTests(self._tests.render(context, document.id), entry))
        found = self._cases.value(context, document.id) if self._cases else None
        return Program(source, Cases(self._pairs(found, document)))

    def _required(self, text: str, field: str) -> Template:
        return Template(text, where=self._task.where("execute", field), field=f"execute.{field}")

    def _pairs(self, value: Any, document: Document) -> tuple[Case, ...]:
        pairs: list[tuple[Any, ...]] = []
        if isinstance(value, Mapping):
            pairs = next(
                (list(zip(value[a], value[b], strict=True)) for a, b in _PAIRS if a in value and b in value), []
            )
        elif isinstance(value, list | tuple):
            pairs = [_pair(item) for item in value]
        if not pairs or not all(len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in pairs):
            what = f"execute.cases: document `{document.id}` gives no pairs of input and output texts"
            fix = "give [{input: ..., output: ...}, ...] or {inputs: [...], outputs: [...]}"
            raise DataError.at(self._task.where("execute", "cases"), what, fix)
        return tuple(Case(stdin, expected) for stdin, expected in pairs)


def _pair(item: Any) -> tuple[Any, ...]:
    """Read one case: a mapping of two names that belong together, or a list of two; anything else is no pair."""
    if isinstance(item, Mapping):
        return next(((item[a], item[b]) for a, b in _PAIRS if a in item and b in item), ())
    return tuple(item) if isinstance(item, tuple | list) else ()
