"""A sandbox that is open: its walls, its control groups, and a cell for each program."""

from __future__ import annotations

import math
import os
import queue
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalharness.sandbox.cell import Cell
from evalharness.sandbox.cgroup import Cage, make_cage
from evalharness.sandbox.interpreter import Interpreter
from evalharness.sandbox.launcher import (
    NOBODY,
    bubblewrap_command,
    bubblewrap_version,
    unsafe_command,
)
from evalharness.sandbox.program import Limits

#: Without a control group, memory is limited for each process alone; fewer processes keep the sum bounded.
_PROCESSES_WITHOUT_CGROUP = 4


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """What a run must say about how it executed code.

    kind: "bubblewrap", or "none" where the person accepted execution without a sandbox. cgroup: "v1", "v2" or None;
    no_cgroup_because: why there is none.
    """

    kind: str
    version: str | None
    python: str
    user_dropped: bool
    cgroup: str | None
    no_cgroup_because: str | None


class Sandbox:
    """A way to run programs that has been tested; made by `open_sandbox`, shared by all threads of a run."""

    def __init__(self, interpreter: Interpreter, bwrap: str | None) -> None:
        self.interpreter = interpreter
        self._bwrap = bwrap
        self._folder = Path(tempfile.mkdtemp(prefix=f"evalharness-sandbox-{os.getpid()}-"))
        self._folder.chmod(0o711)
        for number in range(len(interpreter.prefixes)):
            (self._folder / str(number)).mkdir()
        self._n_cages = 0
        self._cages: queue.SimpleQueue[Cage] = queue.SimpleQueue()
        first = self._make_cage()
        self._no_cgroup_because = first if isinstance(first, str) else None
        if isinstance(first, Cage):
            self._cages.put(first)
        self._cgroup = first.version.name if isinstance(first, Cage) else None

    @property
    def record(self) -> SandboxRecord:
        """What a run must say about how it executed code."""
        return SandboxRecord(
            kind="none" if self._bwrap is None else "bubblewrap",
            version=None if self._bwrap is None else bubblewrap_version(self._bwrap),
            python=self.interpreter.version,
            user_dropped=os.geteuid() == 0,
            cgroup=self._cgroup,
            no_cgroup_because=self._no_cgroup_because,
        )

    def _make_cage(self) -> Cage | str:
        self._n_cages += 1
        return make_cage(f"{self._folder.name}-{self._n_cages}")

    @contextmanager
    def cell(self, limits: Limits, n_stations: int) -> Iterator[tuple[Cell, Cage | None]]:
        """Start one sandbox, and leave no process of it behind. Raises OSError where it cannot start."""
        cage = self._borrow_cage()
        folder = None
        try:
            limits = self.effective(limits)
            if cage is not None:
                cage.limit(limits.memory_bytes, limits.processes)
            entrances = cage.entrances if cage is not None else []
            if self._bwrap is None:
                folder = self._unsafe_folder()
                command = unsafe_command(self.interpreter, folder, entrances)
            else:
                stage = self._folder if os.geteuid() == 0 else None
                command = bubblewrap_command(self._bwrap, self.interpreter, limits, stage, entrances)
            cell = Cell(command, n_stations, limits.output_bytes)
            try:
                yield cell, cage
            finally:
                cell.close(None if cage is None else cage.kill)
                if cage is not None:
                    cage.kill()
        finally:
            if cage is not None:
                self._cages.put(cage)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def effective(self, limits: Limits) -> Limits:
        """Return the limits that hold here: fewer processes where memory cannot be limited for all together."""
        if self._cgroup is not None or limits.processes <= _PROCESSES_WITHOUT_CGROUP:
            return limits
        kept = {name: getattr(limits, name) for name in limits.__slots__}
        return Limits(**{**kept, "processes": _PROCESSES_WITHOUT_CGROUP})

    def rlimits(self, limits: Limits) -> dict[str, int]:
        """Return the limits of each process, by the names of the `resource` module."""
        limits = self.effective(limits)
        found = {
            "RLIMIT_AS": limits.memory_bytes,
            "RLIMIT_CPU": math.ceil(limits.wall_seconds) + 1,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_NPROC": limits.processes + 1,  # process 1 is counted too
        }
        if self._bwrap is None:
            del found["RLIMIT_NPROC"]  # counted over all processes of the user, of which there may be many
        return found

    def _borrow_cage(self) -> Cage | None:
        if self._cgroup is None:
            return None
        try:
            return self._cages.get_nowait()
        except queue.Empty:
            made = self._make_cage()
            if isinstance(made, str):
                raise OSError(made) from None
            return made

    def _unsafe_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="program-", dir=self._folder))
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        return folder

    def close(self) -> None:
        """Remove the temporary folder and the control groups."""
        while not self._cages.empty():
            self._cages.get().remove()
        shutil.rmtree(self._folder, ignore_errors=True)
