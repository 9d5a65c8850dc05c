"""The commands that start a sandbox: bubblewrap's arguments, the steps before it, and the unsafe way without it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from evalharness.errors import SandboxError
from evalharness.sandbox.interpreter import Interpreter
from evalharness.sandbox.program import Limits

#: The user that programs run as when the harness is root: root is exempt from the limit on processes.
NOBODY = 65534

_INSIDE = Path(__file__).with_name("inside.py")
_SYSTEM_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
#: The only variables that programs see.
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_DROP = (
    "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
    "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs",
)  # fmt: skip
#: "$@" is a list of steps, then the word start and the command itself.
_PREPARE = """
while :; do case "$1" in
    mount) mount --bind "$2" "$3" || exit 98; shift 3;;
    enter) echo 0 > "$2" || exit 97; shift 2;;
    *) break;;
esac; done
shift; exec "$@"
"""


@cache
def find_program(name: str, package: str) -> str:
    """Return the path of a system program, or raise SandboxError with the line that installs it."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise SandboxError.at("sandbox", f"`{name}` is not installed", f"apt-get install {package}")
    return found


@cache
def bubblewrap_version(bwrap: str) -> str:
    """Return bubblewrap's version, such as 0.8.0."""
    done = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False, env={})  # noqa: S603
    return done.stdout.strip().removeprefix("bubblewrap ")


@cache
def _knows(bwrap: str, flag: str) -> bool:
    done = subprocess.run([bwrap, "--help"], capture_output=True, text=True, check=False, env={})  # noqa: S603
    return flag in done.stdout + done.stderr


def bubblewrap_command(
    bwrap: str, interpreter: Interpreter, limits: Limits, stage: Path | None, entrances: Sequence[str]
) -> list[str]:
    """Return the command that starts `inside` in a sandbox.

    stage: a folder for bind mounts of prefixes that the unprivileged user cannot reach (a Python below /root); the
    mounts live in a mount namespace of the one program. entrances: cgroup files to enter by.
    """
    sources = dict.fromkeys(interpreter.prefixes)
    mounts = []
    for number, prefix in enumerate(interpreter.prefixes):
        if stage is not None and not _open_to_all(prefix):
            mounts.append((str(prefix), f"{stage}/{number}"))
        sources[prefix] = Path(f"{stage}/{number}") if mounts and mounts[-1][0] == str(prefix) else prefix
    size = str(limits.file_bytes)
    arguments = [
        bwrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--as-pid-1",
        *(["--disable-userns"] if _knows(bwrap, "--disable-userns") else []),
        "--hostname", "sandbox", "--ro-bind", "/usr", "/usr", *_system_folders(),
        "--proc", "/proc", "--dev", "/dev", *_size(bwrap, size), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",  # noqa: S108
        *_size(bwrap, size), "--tmpfs", "/tmp",  # noqa: S108
        # After /tmp, which would hide a Python that is installed there.
        *(word for target, source in sources.items() for word in ("--ro-bind", str(source), str(target))),
        "--remount-ro", "/", "--chdir", "/tmp", "--clearenv",  # noqa: S108
        *(word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)),
        "--", *interpreter.argv, "-c", _inside(interpreter.path),
    ]  # fmt: skip
    return [*_prepare(entrances, mounts), *drop(), *arguments]


def unsafe_command(interpreter: Interpreter, folder: Path, entrances: Sequence[str]) -> list[str]:
    """Return the command that starts `inside` without a sandbox: another user when we are root, and few variables."""
    environment = {**ENVIRONMENT, "HOME": str(folder), "TMPDIR": str(folder)}
    variables = [f"{name}={value}" for name, value in environment.items()]
    change = ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(folder)]
    env = find_program("env", "coreutils")
    return [
        *_prepare(entrances, ()), *drop(), *change, env, "-i", *variables, *interpreter.argv, "-c", _inside(interpreter.path),
    ]  # fmt: skip


@cache
def _inside(python: Path) -> str:
    """Return a program text that runs `inside`, compiled once by the Python that will run it."""
    ask = "import marshal, sys; print(marshal.dumps(compile(sys.stdin.read(), '<inside>', 'exec')).hex())"
    done = subprocess.run(  # noqa: S603
        [python, "-I", "-c", ask], input=_INSIDE.read_text(), capture_output=True, text=True, check=True, env={}
    )
    return f"import marshal; exec(marshal.loads(bytes.fromhex({done.stdout.strip()!r})))"


def drop() -> list[str]:
    """Return the words before a command that make it run as nobody, where we are root."""
    return [find_program("setpriv", "util-linux"), *_DROP] if os.geteuid() == 0 else []


def _prepare(entrances: Sequence[str], mounts: Sequence[tuple[str, str]]) -> list[str]:
    """Return the words before a command that mount prefixes for it alone and make it enter control groups."""
    if not entrances and not mounts:
        return []
    words = [word for pair in mounts for word in ("mount", *pair)] + [word for e in entrances for word in ("enter", e)]
    unshare = [find_program("unshare", "util-linux"), "--mount", "--propagation", "private"] if mounts else []
    return [*unshare, "/bin/sh", "-c", _PREPARE, "sh", *words, "start"]


def _open_to_all(folder: Path) -> bool:
    """Say whether anybody may enter a folder and all those above it."""
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (folder, *folder.parents))


def _system_folders() -> list[str]:
    words = []
    for folder in map(Path, _SYSTEM_FOLDERS):
        if folder.is_symlink():
            words += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    cache_file = "/etc/ld.so.cache"  # without it, libraries of /usr/local and multi-arch folders are not found
    return [*words, "--ro-bind", cache_file, cache_file] if Path(cache_file).exists() else words


def _size(bwrap: str, size: str) -> list[str]:
    if not _knows(bwrap, "--size"):
        raise SandboxError.at(
            bwrap,
            f"bubblewrap {bubblewrap_version(bwrap)} cannot limit the size of temporary folders",
            "install bubblewrap 0.5 or later",
        )
    return ["--size", size]
