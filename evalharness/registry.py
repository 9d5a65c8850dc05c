"""A registry: a literal table of built-in names, plus entry points of installed packages, imported when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from evalharness.errors import UserError, suggest

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to objects given as ``"package.module:attribute"``.

    noun: what is registered, in the singular, for error messages ("metric").
    builtin: the literal table of this package. group: the entry-point group that other packages add names to.
    A name registered twice is an error that names both objects: a silent override would change numbers.
    """

    def __init__(
        self, noun: str, builtin: Mapping[str, str], group: str, *, error: type[UserError] = UserError
    ) -> None:
        self.noun = noun
        self._group = group
        self._error = error
        self._builtin = dict(builtin)
        self._targets: dict[str, str] | None = None
        self._loaded: dict[str, T] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._table()))

    def __contains__(self, name: object) -> bool:
        return name in self._table()

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _table(self) -> dict[str, str]:
        if self._targets is None:
            table = dict(self._builtin)
            for point in entry_points(group=self._group):
                if table.get(point.name, point.value) != point.value:
                    raise self._error.at(
                        point.dist.name if point.dist else self._group,
                        f"{self.noun} `{point.name}` is registered twice: {table[point.name]} and {point.value}",
                        "rename one of them, or uninstall the package that you do not need",
                    )
                table[point.name] = point.value
            self._targets = table
        return self._targets

    def _load(self, name: str) -> T:
        table = self._table()
        if name not in table:
            raise self._error.at("", f"unknown {self.noun} `{name}`", suggest(name, table, noun=f"{self.noun}s"))
        module, _, attribute = table[name].partition(":")
        found: T = getattr(import_module(module), attribute)
        return found
