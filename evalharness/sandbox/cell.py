"""One sandbox that runs: its processes, its pipes, and the conversation with the part inside."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum

#: The whole of what the inside may say on one line to the harness; more is an attack.
_MAX_SPEECH_BYTES = 4096
_MAX_STDERR_BYTES = 2000
_START_SECONDS = 60.0


def frame(data: bytes) -> bytes:
    """Return data behind its length in 8 bytes."""
    return len(data).to_bytes(8, "big") + data


class End(StrEnum):
    """Why a run is over."""

    exited = "exited"
    timed_out = "timed_out"
    too_much_output = "too_much_output"
    lost = "lost"
    broken = "broken"


class _Line:
    """One socket to the inside: what waits to be sent, and what has come."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.outgoing = b""
        self.incoming = b""

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


class Cell:
    """Starts a sandbox and speaks with process 1 in it (`inside`), until `close`.

    command: the launcher's arguments; the numbers of the stations' descriptors are appended as the last one.
    n_stations: sockets handed through for function tests. output_bytes: standard output and error together.
    One thread uses one cell. Everything is read by one poll loop, so that no full pipe can block the harness.
    """

    def __init__(self, command: Sequence[str], n_stations: int, output_bytes: int) -> None:
        self._control = _Line()
        self._stations = [_Line() for _ in range(n_stations)]
        numbers = [line.theirs.fileno() for line in self._stations]
        self._process = subprocess.Popen(  # noqa: S603 - running what we are given is the purpose
            [*command, ",".join(map(str, numbers))],
            stdin=self._control.theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=numbers,
            env={},  # bwrap's own environment would be readable as that of the first process inside
            cwd="/",
            start_new_session=True,
        )
        self.station_numbers = numbers
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._n_output_bytes = 0
        self._output_limit = output_bytes
        self._selector = selectors.DefaultSelector()
        self._open_pipes()

    def _open_pipes(self) -> None:
        for pipe, kept in ((self._process.stdout, self.stdout), (self._process.stderr, self.stderr)):
            if pipe is None:
                raise OSError("a pipe is missing")
            os.fchmod(pipe.fileno(), 0o666)  # so that a program may open /dev/stdout after the user id has changed
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, kept)
        for line in (self._control, *self._stations):
            line.theirs.close()
            self._selector.register(line.ours, selectors.EVENT_READ, line)

    def start(self, limits: Mapping[str, int]) -> bool:
        """Wait until the inside answers and give it the limits; False where it never does."""
        self.tell(frame(",".join(f"{name}={value}" for name, value in limits.items()).encode()))
        deadline = time.monotonic() + _START_SECONDS
        while b"ready\n" not in self._control.incoming:
            if not self._poll(deadline) or time.monotonic() > deadline:
                return False
        self._control.incoming = self._control.incoming.removeprefix(b"ready\n")
        return True

    def tell(self, data: bytes) -> None:
        """Send orders to the inside."""
        self._send(self._control, data)

    def run(
        self, order: bytes, deadline: float, station: int | None = None, answer: Callable[[bytes], bytes] | None = None
    ) -> tuple[End, int | None, bytes]:
        """Give one order and wait for its end.

        deadline: on the monotonic clock. answer: is given all that a station has said so far, nothing at first, and
        returns what to send there. Returns why the run is over, its wait status where it exited, and what was said.
        """
        self.stdout.clear()
        self.stderr.clear()
        self._n_output_bytes = 0
        self.tell(order)
        line = None if station is None else self._stations[station]
        heard = -1
        while True:
            if line is not None and answer is not None and len(line.incoming) > heard:
                heard = len(line.incoming)
                self._send(line, answer(line.incoming))
            alive = self._poll(deadline)
            end = self._end(deadline, alive)
            if end is not None:
                return (*end, line.incoming if line else b"")

    def _end(self, deadline: float, alive: bool) -> tuple[End, int | None] | None:
        """Say whether the run is over, and how."""
        word, newline, _ = self._control.incoming.partition(b"\n")
        if newline:
            self._control.incoming = b""
            self._drain()
        if self._n_output_bytes > self._output_limit:
            return End.too_much_output, None
        if newline:
            return (End.exited, int(word.split()[1])) if word.startswith(b"exit ") else (End.broken, None)
        if not alive:
            return End.lost, None
        return (End.timed_out, None) if time.monotonic() >= deadline else None

    def _drain(self) -> None:
        """Read what the run wrote before its end; all its processes are dead by now."""
        for key in list(self._selector.get_map().values()):
            while key.data is not self._control and self._read(key):
                pass

    def _send(self, line: _Line, data: bytes) -> None:
        line.outgoing += data
        if line.outgoing and line.ours.fileno() in self._selector.get_map():
            self._selector.modify(line.ours, selectors.EVENT_READ | selectors.EVENT_WRITE, line)

    def _poll(self, deadline: float) -> bool:
        """Move data until something came or the deadline passed; False where process 1 has hung up."""
        for key, events in self._selector.select(max(0.0, deadline - time.monotonic())):
            if events & selectors.EVENT_WRITE:
                self._write(key.data)
            if events & selectors.EVENT_READ:
                self._read(key)
        return self._control.ours.fileno() in self._selector.get_map()

    def _write(self, line: _Line) -> None:
        with suppress(BlockingIOError):
            try:
                line.outgoing = line.outgoing[line.ours.send(line.outgoing) :]
            except (BrokenPipeError, ConnectionResetError):
                line.outgoing = b""
        if not line.outgoing:
            self._selector.modify(line.ours, selectors.EVENT_READ, line)

    def _read(self, key: selectors.SelectorKey) -> bool:
        """Read once from a pipe or line; False where nothing came."""
        try:
            data = os.read(key.fd, 65536)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(key.fileobj)
        elif isinstance(key.data, _Line):
            key.data.incoming = (key.data.incoming + data)[:_MAX_SPEECH_BYTES]
        else:
            self._keep(key.data, data)
        return bool(data)

    def _keep(self, kept: bytearray, data: bytes) -> None:
        self._n_output_bytes += len(data)
        kept += data
        most = _MAX_STDERR_BYTES if kept is self.stderr else self._output_limit
        if kept is self.stderr:
            del kept[:-most]
        else:
            del kept[most:]

    def close(self, kill: Callable[[], None] | None = None, patience_seconds: float = 5.0) -> int:
        """End every process of the sandbox and return the launcher's exit code.

        Process 1 ends when the line to it is closed, and the kernel ends all others with it before the launcher
        returns. kill: called first where that takes too long, before the launcher itself is killed.
        """
        self._selector.close()
        for line in (self._control, *self._stations):
            line.close()
        try:
            return self._wait(patience_seconds)
        except subprocess.TimeoutExpired:
            if kill is not None:
                kill()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            return self._wait(None)

    def _wait(self, seconds: float | None) -> int:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return self._process.wait(seconds)
