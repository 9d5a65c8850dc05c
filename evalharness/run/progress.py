"""How a run tells a person how far it is; the command line shows it, a library user may stay silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Told of every stage and response; must be quick, since it is called once a response."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage; total: how many responses it waits for, None if it has no steps to count."""
        ...

    def part(self, name: str, total: int | None = None) -> None:
        """Begin a part of the stage, worth a word only if it takes long; total: the items in it, None if unknown."""
        ...

    def advance(self, n_tokens: int = 0, n_items: int = 1) -> None:
        """Count one response, of n_tokens tokens read and written; or n_items of a part."""
        ...

    def note(self, text: str) -> None:
        """Say something that a person should see, such as that a run is resumed."""
        ...


class Silent:
    """Says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignore the stage."""

    def part(self, name: str, total: int | None = None) -> None:
        """Ignore the part."""

    def advance(self, n_tokens: int = 0, n_items: int = 1) -> None:
        """Ignore the response."""

    def note(self, text: str) -> None:
        """Ignore the note."""


@dataclass(frozen=True, slots=True)
class PartWatch:
    """Shows what a metric says of its own work (`metric.base.Watch`) as a part of a stage, under `name`."""

    progress: Progress
    name: str

    def expect(self, n_items: int) -> None:
        """Begin the part."""
        self.progress.part(self.name, n_items)

    def advance(self, n_items: int = 1) -> None:
        """Count items of the part."""
        self.progress.advance(n_items=n_items)

    def note(self, text: str) -> None:
        """Say it, with the name of the part."""
        self.progress.note(f"{self.name}: {text}")
