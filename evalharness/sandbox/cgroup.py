"""Control groups: a memory and process limit over all processes of a program together, where the machine lets us.

Version 2 (one tree) and version 1 (a tree for each resource) differ in file names alone, so both are a table.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Memory for what is charged to the group besides the program: the launcher, process 1, pages of /tmp.
_OVERHEAD_BYTES = 64 * 2**20
#: Processes of the sandbox itself: bwrap outside, process 1 inside, and one that is about to be reaped.
_OVERHEAD_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class _Version:
    """File names of one version, by what they hold."""

    name: str
    controllers: tuple[str, ...]
    memory_limits: tuple[str, ...]
    kills: str


_V2 = _Version("v2", ("",), ("memory.max",), "memory.events")
_V1 = _Version("v1", ("memory", "pids"), ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), "memory.oom_control")


@dataclass(frozen=True, slots=True)
class Cage:
    """One group (a folder for each tree) that holds one program at a time."""

    version: _Version
    folders: Mapping[str, Path]

    @property
    def entrances(self) -> list[str]:
        """The files that a process writes 0 to in order to enter."""
        return [str(folder / "cgroup.procs") for folder in self.folders.values()]

    def limit(self, memory_bytes: int, processes: int) -> None:
        """Set the limits of the next program, counting what the sandbox itself needs. Raises OSError."""
        memory = self.folders.get("memory", self.folders.get("", Path()))
        names = [name for name in self.version.memory_limits if (memory / name).exists()]
        for name in reversed(names):  # the plain limit must never exceed that with swap, on the way up or down
            (memory / name).write_text("-1" if self.version is _V1 else "max")
        for name in names:
            (memory / name).write_text(str(memory_bytes + _OVERHEAD_BYTES))
        if (memory / "memory.swap.max").exists():
            (memory / "memory.swap.max").write_text("0")
        pids = self.folders.get("pids", memory)
        (pids / "pids.max").write_text(str(processes + _OVERHEAD_PROCESSES))

    def n_memory_kills(self) -> int:
        """Count the processes that the kernel has ended for memory since the group was made."""
        memory = self.folders.get("memory", self.folders.get("", Path()))
        return _count(memory / self.version.kills, "oom_kill")

    def n_refused_processes(self) -> int:
        """Count the forks that the limit on processes has refused since the group was made."""
        pids = self.folders.get("pids", self.folders.get("", Path()))
        return _count(pids / "pids.events", "max")

    def kill(self) -> None:
        """Kill every process in the group."""
        for entrance in self.entrances:
            for pid in Path(entrance).read_text().split():
                try:
                    os.kill(int(pid), 9)
                except ProcessLookupError:
                    continue

    def remove(self) -> None:
        """Remove the group; for a moment after its last process has ended, the kernel may still say that it is busy."""
        deadline = time.monotonic() + 2
        for folder in self.folders.values():
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.01)


def make_cage(name: str) -> Cage | str:
    """Make a group that works, below our own or the nearest one above it; else say why there is none."""
    reasons = []
    for version in (_V2, _V1):
        folders: dict[str, Path] = {}
        for controller in version.controllers:
            made = _make_folder(version, controller, name)
            if isinstance(made, str):
                reasons.append(made)
                break
            folders[controller] = made
        cage = Cage(version, folders)
        if len(folders) == len(version.controllers):
            problem = _trial(cage)
            if problem is None:
                return cage
            reasons.append(problem)
        cage.remove()
    return "; ".join(reasons)


def _trial(cage: Cage) -> str | None:
    """Set limits and let a process enter; say what failed."""
    try:
        cage.limit(2**28, 16)
    except OSError as error:
        return f"cgroup {cage.version.name}: {error}"
    script = 'for f in "$@"; do echo 0 > "$f" || exit 1; done'
    done = subprocess.run(["/bin/sh", "-c", script, "sh", *cage.entrances], env={}, capture_output=True, check=False)  # noqa: S603
    return f"cgroup {cage.version.name}: a process cannot enter" if done.returncode else None


def _make_folder(version: _Version, controller: str, name: str) -> Path | str:
    """Make one group's folder as near to our own group as the controllers reach."""
    wanted = ("memory.max", "pids.max") if version is _V2 else (f"{controller}.{_V1_PROOF[controller]}",)
    place = _own_folder(controller)
    if place is None:
        return f"cgroup {version.name}: {controller or 'the tree'} is not mounted"
    problem = f"cgroup {version.name}: no group above ours hands down {' and '.join(wanted)}"
    for parent in _upwards(*place):
        folder = parent / name
        try:
            folder.mkdir()
        except OSError as error:
            problem = f"cgroup {version.name}: {error.strerror} in {parent}"
            continue
        if all((folder / file).exists() for file in wanted):
            return folder
        folder.rmdir()
    return problem


_V1_PROOF = {"memory": "limit_in_bytes", "pids": "max"}


def _upwards(mount: Path, own: Path) -> Iterator[Path]:
    """Yield our own group's folder and those above it, up to the mount."""
    for folder in (own, *own.parents):
        if folder.is_dir():
            yield folder
        if folder == mount:
            return


def _own_folder(controller: str) -> tuple[Path, Path] | None:
    """Return the mount point of a controller's tree and our own group in it; "" is version 2."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    path = next((path for _, names, path in groups if controller in names.split(",")), None)
    for fields in mounts:
        kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
        fits = kind == "cgroup2" if controller == "" else kind == "cgroup" and controller in options
        if fits and path is not None:
            mount, root = Path(fields[4]), fields[3]
            below = path.removeprefix(root) if root != "/" else path
            return mount, mount / below.lstrip("/")
    return None


def _count(path: Path, key: str) -> int:
    """Return the number beside a key in a file of ``key number`` lines; 0 where the kernel does not keep it."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[0] == key), 0)
