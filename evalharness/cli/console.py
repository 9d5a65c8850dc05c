"""What a person sees while a run works: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

LOG_SECONDS = 10.0
#: Rich draws ten times a second; a bar need not hear of every item.
BAR_SECONDS = 0.1


def leave_stdout() -> None:
    """Send what is still to be printed nowhere: the reader, such as `head`, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_output(output: str | None, text: str) -> None:
    """Write a text to a file, or to standard output where none is named; raises StoreError if the file cannot be written."""
    from evalharness.run.atomic import write_atomically

    if output is None:
        sys.stdout.write(text)
        return
    try:
        write_atomically(Path(output), text.encode("utf-8"))
    except OSError as error:
        raise StoreError.at(output, f"cannot be written: {error.strerror}") from error


def stdout_console() -> Console:
    """Return the console for results; as wide as needed where the output is not a terminal."""
    from rich.console import Console

    class Patient(Console):
        """Goes on when the reader has gone: there may be models left to evaluate. Rich would exit with code 1."""

        def on_broken_pipe(self) -> None:
            leave_stdout()

    return Patient(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty(), highlight=False)


class ConsoleProgress:
    """Shows stages and their parts on stderr: a bar with rate and time left on a terminal, else a line now and then.

    seconds: off a terminal, how long it may be silent. A thread of its own keeps that, whatever the work is held up by.
    """

    def __init__(self, prefix: str = "", seconds: float = LOG_SECONDS) -> None:
        self._prefix = f"{prefix}: " if prefix else ""
        self._seconds = seconds
        self._bar: RichProgress | None = None
        self._speaker: threading.Thread | None = None
        self._closed = threading.Event()
        self._is_terminal = sys.stderr.isatty()
        self._drawn = 0.0
        self._begin("", None)
        self._said = self._begun

    def stage(self, name: str, total: int | None = None) -> None:
        """End the former stage and begin another."""
        self.close()
        self._begin(name, total)
        if self._is_terminal and total:
            self._show_bar()
        else:
            counted = "" if total is None else f" ({total} requests)"
            self.note(f"{name}{counted}")
            self._keep_speaking()
        self._ends_with_line = not self._is_terminal

    def part(self, name: str, total: int | None = None) -> None:
        """Begin a part of the stage, in the same bar; off a terminal it is named once it has taken long."""
        self._begin(name, total)
        if self._is_terminal:
            self._show_bar()
        else:
            self._keep_speaking()

    def advance(self, n_tokens: int = 0, n_items: int = 1) -> None:
        """Count one response, or items of a part."""
        self._done += n_items
        self._tokens += n_tokens
        is_last = self._done == self._total
        if self._bar is not None:
            now = time.perf_counter()
            if is_last or now - self._drawn > BAR_SECONDS:
                self._drawn = now
                self._bar.update(self._bar.task_ids[0], completed=self._done, rate=self._rate())
        elif is_last and self._ends_with_line:
            self.note(self._state())

    def note(self, text: str) -> None:
        """Write a line to stderr."""
        self._said = time.perf_counter()
        if self._bar is not None:
            self._bar.console.print(f"{self._prefix}{text}", markup=False)
        else:
            sys.stderr.write(f"{self._prefix}{text}\n")  # at once: two threads write here
            sys.stderr.flush()

    def close(self) -> None:
        """Remove the bar, and say no more by itself."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._speaker is not None:
            self._closed.set()
            self._speaker.join()
            self._speaker = None

    def _begin(self, name: str, total: int | None) -> None:
        self._name, self._total, self._done, self._tokens = name, total, 0, 0
        self._ends_with_line = False
        self._begun = time.perf_counter()
        self._drawn = 0.0

    def _keep_speaking(self) -> None:
        if self._speaker is None and not self._is_terminal:
            self._closed.clear()
            self._speaker = threading.Thread(target=self._speak, name="progress", daemon=True)
            self._speaker.start()

    def _speak(self) -> None:
        """Say how far the work is whenever nothing has been said for long."""
        while not self._closed.wait(max(0.01, self._said + self._seconds - time.perf_counter())):
            if time.perf_counter() - self._said >= self._seconds:
                self.note(self._state())

    def _state(self) -> str:
        facts = [self._rate(), self._left()]
        if self._total:
            facts.insert(0, f"{self._done}/{self._total}")
        return f"{self._name}: {', '.join(filter(None, facts))}"

    def _rate(self) -> str:
        """Say how many tokens are dealt with a second; nothing where the work has none."""
        seconds = max(time.perf_counter() - self._begun, 1e-9)
        return f"{self._tokens / seconds:,.0f} tokens/s" if self._tokens else ""

    def _left(self) -> str:
        seconds = time.perf_counter() - self._begun
        if not self._total:
            return f"{_clock(seconds)} so far"
        if not self._done:
            return f"{_clock(seconds)} so far, time left unknown"
        left = seconds * (self._total - self._done) / self._done
        return "done" if self._done >= self._total else f"about {_clock(left)} left"

    def _show_bar(self) -> None:
        description = f"{self._prefix}{self._name}"
        if self._bar is not None:
            self._bar.remove_task(self._bar.task_ids[0])
            self._bar.add_task(description, total=self._total, rate="")
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._bar.add_task(description, total=self._total, rate="")


def _clock(seconds: float) -> str:
    """Write a duration as hours:minutes:seconds."""
    return str(timedelta(seconds=round(seconds)))
