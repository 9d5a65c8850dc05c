"""A static page: Jinja templates that escape every text, our own style and script inside, and a policy that allows no more."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

_FOLDER = Path(__file__).parent / "templates"
_NOT_PLAIN = re.compile("[^a-z0-9]+")
_SLUG_CHARACTERS = 48


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table; key: what its column is sorted by, the text itself where None. href: a page of ours."""

    text: str
    key: float | None = None
    href: str | None = None
    is_strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; numeric: the places of the columns that are set flush right."""

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int]
    caption: str


def file_name(kind: str, *names: str) -> str:
    """Return the name of a page about something: readable, safe for every file system, and another one for each name."""
    slug = _NOT_PLAIN.sub("-", " ".join(names).casefold()).strip("-")[:_SLUG_CHARACTERS].strip("-")
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return "-".join(part for part in (kind, slug, digest) if part) + ".html"


def render(template: str, **content: Any) -> bytes:
    """Return a page; whatever is no `Markup` is escaped."""
    shell = {"style": _read("style.css"), "script": _read("table.js"), "policy": _policy()}
    return _environment().get_template(template).render(**shell, **content).encode("utf-8", "backslashreplace")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Return a content security policy: nothing is loaded, and only the style and the script that are ours apply."""
    style, script = (
        base64.b64encode(hashlib.sha256(_read(name).encode()).digest()).decode() for name in ("style.css", "table.js")
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
