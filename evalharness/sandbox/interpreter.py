"""The Python that programs run on, and the folders that it needs to be seen."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evalharness.errors import SandboxError

_QUESTION = "import sys; print(sys.prefix); print(sys.base_prefix); print('.'.join(map(str, sys.version_info[:3])))"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python, its version, and the prefixes outside /usr that must be bound read-only for it to start."""

    path: Path
    version: str
    prefixes: tuple[Path, ...]

    @property
    def argv(self) -> list[str]:
        """The command before the script: no user site, no script folder on the path.

        Like ``-I`` but for the environment, which is ours inside the sandbox: PYTHONHASHSEED must count there, or a
        program that depends on the order of a set would pass on one run and fail on the next.
        """
        return [str(self.path), "-s", *(["-P"] if self._knows_safe_path else [])]

    @property
    def _knows_safe_path(self) -> bool:
        return tuple(map(int, self.version.split(".")[:2])) >= (3, 11)


def find_interpreter(path: Path | None = None) -> Interpreter:
    """Describe the Python at a path, or the one that runs the harness.

    Raises SandboxError where it does not run, is older than 3.9, or where its prefix could not be shown without
    showing somebody's home with it.
    """
    path = Path(sys.executable) if path is None else path
    try:
        asked = subprocess.run(  # noqa: S603 - the person names the interpreter
            [path, "-I", "-c", _QUESTION], capture_output=True, text=True, check=True, timeout=60, env={}
        )
        prefix, base, version = asked.stdout.splitlines()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SandboxError.at(path, f"this Python does not run: {error}", "name one that does") from None
    if tuple(map(int, version.split(".")[:2])) < (3, 9):
        raise SandboxError.at(path, f"Python {version} is too old for the sandbox", "name one of version 3.9 or later")
    needed = {Path(prefix), Path(base), Path(base).resolve(), path.resolve().parent.parent}
    prefixes = tuple(sorted(folder for folder in needed if not folder.is_relative_to("/usr")))
    home = home_folder()
    for folder in prefixes:
        if (home is not None and home.is_relative_to(folder)) or Path(folder.anchor) == folder:
            raise SandboxError.at(
                path,
                f"this Python is installed in {folder} itself, so showing it would show the whole folder",
                "name a Python of the system, such as /usr/bin/python3, or one in a folder of its own",
            )
    outer = tuple(f for f in prefixes if not any(f != other and f.is_relative_to(other) for other in prefixes))
    return Interpreter(path, version, outer)


def home_folder() -> Path | None:
    """Return the home folder of the harness's user, or None for a user without one."""
    found = Path("~").expanduser() if os.environ.get("HOME") else _home_on_record()
    return found if found is not None and found != Path("/") else None


def _home_on_record() -> Path | None:
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None
