"""How a run tells a person how far it is; the command line shows it, a library user may stay silent."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of every stage and response; must be quick, since it is called once a response."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage; total: how many responses it waits for, None if it has no steps to count."""
        ...

    def advance(self, n_tokens: int) -> None:
        """Count one response, of n_tokens tokens read and written."""
        ...

    def note(self, text: str) -> None:
        """Say something that a person should see, such as that a run is resumed."""
        ...


class Silent:
    """Says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignore the stage."""

    def advance(self, n_tokens: int) -> None:
        """Ignore the response."""

    def note(self, text: str) -> None:
        """Ignore the note."""
