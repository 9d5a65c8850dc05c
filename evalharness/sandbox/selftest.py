"""The attack that every sandbox must withstand before it gets a stranger's program."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from evalharness.errors import Problem, SandboxError
from evalharness.sandbox.cell import Cell, End, frame
from evalharness.sandbox.interpreter import home_folder
from evalharness.sandbox.launcher import ENVIRONMENT
from evalharness.sandbox.program import Limits
from evalharness.sandbox.sandbox import Sandbox

_PROBE = Path(__file__).with_name("probe.py")
_LIMITS = Limits(wall_seconds=60)
_NAMESPACES = ("net", "pid", "mnt", "user", "ipc", "uts", "cgroup")
#: What bubblewrap or the steps before it say when a machine forbids them, and the cure.
_CURES = {
    "No permissions to create": "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1, and on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, give it the right to make them",
    "Creating new namespace failed": "allow user namespaces: sysctl -w user.max_user_namespaces=10000",
    "setting up uid map": "on Ubuntu: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or add an AppArmor "
    "profile for bwrap; in a container, give it the right to make user namespaces",
    "Can't mount proc": "in a container, unmask /proc (docker run --security-opt systempaths=unconfined)",
    "mount": "in a container, give it the right to mount (docker run --cap-add SYS_ADMIN), or run outside of it",
    "execvp": "name a Python that everybody may read, such as /usr/bin/python3",
    "cannot open shared object": "name a Python whose libraries lie in /usr or in its own prefix",
}
#: The folders that programs may write to.
_TEMPORARY = (Path("/tmp"), Path("/dev/shm"))  # noqa: S108
_GENERAL_CURE = "this machine cannot hold such programs back; score the answers on another one"


def check_sandbox(sandbox: Sandbox) -> None:
    """Attack a sandbox from inside and raise SandboxError with every leak; without one, see that programs run."""
    with tempfile.NamedTemporaryFile(prefix="evalharness-secret-") as secret, socket.socket() as listener:
        Path(secret.name).chmod(0o644)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        facts = _facts(sandbox, secret.name, listener.getsockname()[1])
        lines = _attack(sandbox, repr(facts))
    if sandbox.record.kind == "none":
        return
    if lines:
        raise SandboxError(Problem("sandbox", f"a probe got out: {line}", _GENERAL_CURE) for line in lines)


def _attack(sandbox: Sandbox, facts: str) -> list[str]:
    """Run the probe and return what it could do."""
    try:
        with sandbox.cell(_LIMITS, 0) as (cell, _):
            if not cell.start(sandbox.rlimits(_LIMITS)):
                raise _cannot_run(cell)
            return _probe_lines(cell, sandbox, facts)
    except OSError as error:
        raise SandboxError.at("sandbox", f"cannot start programs: {error}", _GENERAL_CURE) from None


def _probe_lines(cell: Cell, sandbox: Sandbox, facts: str) -> list[str]:
    words = (b"command", "\0".join(sandbox.interpreter.argv).encode(), _PROBE.read_bytes(), facts.encode() + b"\n")
    end, _, _ = cell.run(b"".join(map(frame, words)), time.monotonic() + _LIMITS.wall_seconds)
    lines = cell.stdout.decode("utf-8", "replace").splitlines()
    if end is not End.exited or lines[-1:] != ["probe finished"]:
        raise _cannot_run(cell)
    return lines[:-1]


def _cannot_run(cell: Cell) -> SandboxError:
    said = cell.stderr.decode("utf-8", "replace").strip() or "it said nothing"
    cure = next((cure for words, cure in _CURES.items() if words in said), _GENERAL_CURE)
    return SandboxError.at("sandbox", f"programs cannot run in it: {said[-500:]}", cure)


def _facts(sandbox: Sandbox, secret: str, port: int) -> Mapping[str, object]:
    """Collect what the probe needs to know in order to recognise a leak."""
    homes = [str(home) for home in [home_folder()] if home is not None and home not in _TEMPORARY]
    prefixes = [str(prefix) for prefix in sandbox.interpreter.prefixes]
    rlimits = sandbox.rlimits(_LIMITS)
    return {
        "port": port,
        "variables": [*ENVIRONMENT, "LC_CTYPE", "PWD"],
        "secret_files": [secret, "/etc/passwd", "/etc/shadow", "/etc/hostname"],
        "secret_folders": {folder: _names_in(folder) for folder in {*homes, str(Path.cwd())} if _is_private(folder)},
        "shown": sorted({part for prefix in prefixes for part in Path(prefix).parts}),
        "read_only": ["/", "/usr", "/etc", "/dev", "/usr/bin", *homes, *prefixes],
        "file_bytes": _LIMITS.file_bytes,
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in _NAMESPACES},  # noqa: PTH115
        "hostname": socket.gethostname(),
        "rlimits": rlimits,
        "memory_bytes": _LIMITS.memory_bytes,
        "processes": _LIMITS.processes + 2,
    }


def _is_private(folder: str) -> bool:
    """Say whether a folder is none of those that the sandbox shows by intent, or has of its own."""
    shown = ("/usr", "/dev", "/proc", "/sys")
    return folder != "/" and not any(Path(folder).is_relative_to(place) for place in shown)


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(path.name for path in Path(folder).iterdir())[:1000]
    except OSError:
        return []
