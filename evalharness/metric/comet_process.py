"""The conversation with COMET's worker: one process in the other environment, which never hangs us and never outlives us."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evalharness.errors import MetricError
from evalharness.metric.base import Watch
from evalharness.metric.comet_environment import COMMAND, last_lines

WORKER = Path(__file__).with_name("comet_worker.py")

#: How long the worker may be silent, on stdout and stderr alike, before it is given up; a download shows its progress there.
PATIENCE_VARIABLE = "EVALHARNESS_COMET_PATIENCE_SECONDS"
PATIENCE_SECONDS = 900.0

_WHERE = "metric `comet`"
_DOING = {
    "": ("starting", f"run `{COMMAND}` again"),
    "starting": (
        "fetching the model {model}",
        "name a local checkpoint, or a hub model that can be reached; a gated one needs its licence accepted and a token",
    ),
    "loading": ("loading the model {model}", "is it a checkpoint that this version of unbabel-comet knows?"),
    "scoring": ("scoring with {model}", "where memory is short, EVALHARNESS_COMET_DEVICE=cpu computes without a GPU"),
}


@dataclass(frozen=True, slots=True)
class CometAnswer:
    """What the worker found. scores: one a segment, None where it is not finite. facts: versions, and the checkpoint."""

    scores: tuple[float | None, ...]
    facts: Mapping[str, str]


def ask_comet(
    python: Path, header: Mapping[str, Any], segments: Sequence[Mapping[str, str]], watch: Watch
) -> CometAnswer:
    """Let a worker score `segments`, and wait for its end.

    header, segments: as `comet_worker` reads them. watch: told how many segments the model has dealt with.
    Raises MetricError: the model cannot be fetched or does not fit, the worker died, or it was silent for too long.
    """
    with tempfile.TemporaryDirectory(prefix="evalharness-comet-") as folder:
        request, errors = Path(folder) / "request.jsonl", Path(folder) / "stderr.txt"
        with request.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in (header, *segments))
        try:
            with errors.open("wb") as stderr:
                process = subprocess.Popen(  # noqa: S603 - running what the person set up is the purpose
                    [python, "-I", WORKER, request],
                    stdin=subprocess.PIPE,  # it closes when we are gone, and the worker with it
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                )
        except OSError as error:
            raise MetricError.at(_WHERE, f"{python} does not start: {error}", f"run `{COMMAND}` again") from error
        try:
            return _Conversation(process, errors, str(header["model"]), len(segments), watch).answer()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


class _Conversation:
    """What one worker says, until it has answered."""

    def __init__(
        self, process: subprocess.Popen[bytes], errors: Path, model: str, n_segments: int, watch: Watch
    ) -> None:
        self._process, self._errors, self._model, self._watch = process, errors, model, watch
        self._stage, self._facts = "", dict[str, str]()
        self._n_segments, self._n_done = n_segments, 0
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        watch.expect(n_segments)
        threading.Thread(target=self._listen, args=(process.stdout,), daemon=True).start()

    def _listen(self, stdout: IO[bytes]) -> None:
        with suppress(ValueError, OSError):  # closed from the other side: nobody waits any more
            for line in stdout:
                self._lines.put(line)
        self._lines.put(None)

    def answer(self) -> CometAnswer:
        """Read until the scores come; raises MetricError where they do not."""
        while True:
            line = self._next_line()
            if line is None:
                raise self._fault(f"ended with {self._exit()}")
            try:
                message = json.loads(line)
                scores = self._heard(message)
            except (ValueError, TypeError, KeyError) as error:
                said = line[:200].decode("utf-8", "replace").strip()
                raise self._fault(f"said what is no message of its own: {said!r}") from error
            if scores is not None:
                self._watch.advance(self._n_segments - self._n_done)
                return CometAnswer(scores, self._facts)

    def _heard(self, message: Mapping[str, Any]) -> tuple[float | None, ...] | None:
        """Take in one message; return the scores when they come."""
        if "stage" in message:
            self._stage = message["stage"]
            self._facts.update({key: str(value) for key, value in message.items() if key != "stage"})
        elif "done" in message:
            n_done = min(message["done"], self._n_segments - self._n_done)
            self._n_done += n_done
            self._watch.advance(n_done)
        elif "missing" in message:
            raise self._unfit(message["missing"])
        elif "no_part" in message:
            what = f"model {self._model} gives {', '.join(message['no_part'])} here, and not the part that is asked for"
            raise MetricError.at(_WHERE, what, "change `part`")
        else:
            scores = tuple(None if score is None else float(score) for score in message["scores"])
            if len(scores) != self._n_segments:
                raise ValueError("another number of scores")
            return scores
        return None

    def _next_line(self) -> bytes | None:
        """Return the worker's next line, None if none will come; raises MetricError if it is silent for too long."""
        patience = float(os.environ.get(PATIENCE_VARIABLE, PATIENCE_SECONDS))
        heard, n_bytes = time.monotonic(), self._errors.stat().st_size
        while True:
            try:
                return self._lines.get(timeout=min(1.0, patience))
            except queue.Empty:
                if self._process.poll() is not None:  # a child of it may hold the pipe open
                    return None
            if self._errors.stat().st_size != n_bytes:
                heard, n_bytes = time.monotonic(), self._errors.stat().st_size
            elif time.monotonic() - heard > patience:
                raise self._fault(f"was silent for {patience:g} s", f"{PATIENCE_VARIABLE} sets how long to wait")

    def _exit(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "a closed pipe"
        return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.Signals(-code).name})"

    def _fault(self, how: str, fix: str = "") -> MetricError:
        doing, usual_fix = _DOING.get(self._stage, _DOING["scoring"])
        said = last_lines(self._errors.read_bytes().decode("utf-8", "replace"))
        what = f"COMET's worker {how} while {doing.format(model=self._model)}; the last it said:\n{said}"
        return MetricError.at(_WHERE, what, fix or usual_fix)

    def _unfit(self, segment: str) -> MetricError:
        if segment == "src":
            fix = "name the column of the documents that holds it: `source: COLUMN`"
            return MetricError.at(_WHERE, f"model {self._model} reads the source", fix)
        return MetricError.at(_WHERE, f"model {self._model} reads a reference", "remove `references: none`")
