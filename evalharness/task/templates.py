"""Jinja templates, sandboxed, strict about names, and compiled once; every fault names the file, line and document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import jinja2
import jinja2.exceptions
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox

from evalharness.errors import DataError, TaskError, suggest

MAX_RENDERED_CHARACTERS = 10_000_000

# What an expression over the columns of a document can raise; anything else would be a defect of ours.
_RENDER_FAULTS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)


@cache
def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["regex_replace"] = _regex_replace
    return environment


def _regex_replace(text: str, pattern: str, replacement: str = "", count: int = 0) -> str:
    return re.sub(pattern, replacement, text, count=count)


class Template:
    """One template of a task file.

    text: the source. where: ``file:line``. field: its name for errors, such as ``prompt``.

    Raises TaskError if it is not valid Jinja.
    """

    def __init__(self, text: str, *, where: str, field: str) -> None:
        self.where = where
        self.field = field
        environment = _environment()
        try:
            tree = environment.parse(text)
            self._template = environment.from_string(text)
            expression = _single_expression(text, tree)
            self._expression = (
                environment.compile_expression(expression, undefined_to_none=False) if expression else None
            )
        except jinja2.TemplateSyntaxError as fault:
            what = f"{field}: not a valid template: {fault.message} (line {fault.lineno} of the template)"
            raise TaskError.at(where, what, "see docs/tasks.md for what templates can do") from None
        self.names = frozenset(jinja2.meta.find_undeclared_variables(tree))

    def render(self, context: Mapping[str, Any], document_id: str) -> str:
        """Return the text for one document.

        Raises DataError if the document lacks a column, TaskError if the template does something forbidden or fails.
        """
        try:
            text = self._template.render(context)
        except _RENDER_FAULTS as fault:
            raise self._fault(fault, context, document_id) from None
        if len(text) > MAX_RENDERED_CHARACTERS:
            what = f"{self.field}: document `{document_id}` renders to {len(text):,} characters"
            raise TaskError.at(self.where, what, f"keep it under {MAX_RENDERED_CHARACTERS:,}")
        return text

    def value(self, context: Mapping[str, Any], document_id: str) -> Any:
        """Return the value for one document: of the expression, if that is all the template is, else its text."""
        if self._expression is None:
            return self.render(context, document_id)
        try:
            found = self._expression(context)
            if isinstance(found, jinja2.Undefined):
                found._fail_with_undefined_error()
        except _RENDER_FAULTS as fault:
            raise self._fault(fault, context, document_id) from None
        return found

    def _fault(self, fault: Exception, context: Mapping[str, Any], document_id: str) -> TaskError | DataError:
        message = str(fault) or type(fault).__name__
        unknown = re.match(r"'(\w+)' is undefined", message)
        if isinstance(fault, jinja2.UndefinedError) and unknown:
            name = unknown.group(1)
            what = f"{self.field}: document `{document_id}` has no column `{name}`"
            return DataError.at(self.where, what, suggest(name, map(str, context), noun="columns"))
        if isinstance(fault, jinja2.exceptions.SecurityError):
            return TaskError.at(
                self.where, f"{self.field}: {message}", "templates may only read the document's columns"
            )
        what = f"{self.field}: the template fails for document `{document_id}`: {message}"
        return TaskError.at(self.where, what, "correct the template, or the document's value")


def _single_expression(text: str, tree: jinja2.nodes.Template) -> str | None:
    """Return the source between the braces, if the template is nothing but one ``{{ expression }}``."""
    body = tree.body
    if len(body) != 1 or not isinstance(body[0], jinja2.nodes.Output) or len(body[0].nodes) != 1:
        return None
    if isinstance(body[0].nodes[0], jinja2.nodes.TemplateData):
        return None
    match = re.fullmatch(r"\s*\{\{-?(.*?)-?\}\}\s*", text, re.DOTALL)
    return match.group(1).strip() if match else None


def as_texts(value: Any) -> tuple[str, ...]:
    """Read a template's value as texts: a list gives one each, anything else gives one."""
    items: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    return tuple(str(item) for item in items)
