"""What a person sees while a run works: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

LOG_SECONDS = 10.0


def leave_stdout() -> None:
    """Send what is still to be printed nowhere: the reader, such as `head`, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout_console() -> Console:
    """Return the console for results; as wide as needed where the output is not a terminal."""
    from rich.console import Console

    class Patient(Console):
        """Goes on when the reader has gone: there may be models left to evaluate. Rich would exit with code 1."""

        def on_broken_pipe(self) -> None:
            leave_stdout()

    return Patient(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty(), highlight=False)


class ConsoleProgress:
    """Shows stages on stderr: a bar with rate and time left on a terminal, else a line every few seconds."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = f"{prefix}: " if prefix else ""
        self._bar: RichProgress | None = None
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._tokens = 0
        self._begun = self._said = time.perf_counter()
        self._is_terminal = sys.stderr.isatty()

    def stage(self, name: str, total: int | None = None) -> None:
        """End the former stage and begin another."""
        self.close()
        self._name, self._total, self._done, self._tokens = name, total, 0, 0
        self._begun = self._said = time.perf_counter()
        if self._is_terminal and total:
            self._open_bar(total)
        else:
            counted = "" if total is None else f" ({total} requests)"
            self.note(f"{name}{counted}")

    def advance(self, n_tokens: int) -> None:
        """Count one response."""
        self._done += 1
        self._tokens += n_tokens
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done, rate=self._rate())
        elif time.perf_counter() - self._said > LOG_SECONDS or self._done == self._total:
            self._said = time.perf_counter()
            known = f"{self._done}/{self._total}, {self._rate()}, {self._left()}"
            self.note(f"{self._name}: {known if self._total else f'{self._done} done'}")

    def note(self, text: str) -> None:
        """Write a line to stderr."""
        if self._bar is not None:
            self._bar.console.print(f"{self._prefix}{text}", markup=False)
        else:
            print(f"{self._prefix}{text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _rate(self) -> str:
        seconds = max(time.perf_counter() - self._begun, 1e-9)
        return f"{self._tokens / seconds:,.0f} tokens/s"

    def _left(self) -> str:
        if not self._total or not self._done:
            return "time left unknown"
        seconds = (time.perf_counter() - self._begun) * (self._total - self._done) / self._done
        return "done" if self._done == self._total else f"about {seconds:.0f} s left"

    def _open_bar(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._bar.add_task(f"{self._prefix}{self._name}", total=total, rate="")
