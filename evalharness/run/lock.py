"""One writer a run directory: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from evalharness.errors import StoreError, UserError

LOCK_FILE = "lock"

_TRIES = 3
_WAIT_SECONDS = 0.05
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


def take_lock(directory: Path) -> int:
    """Lock a run directory for this process and return the descriptor that holds the lock; the kernel frees it on death."""
    path = directory / LOCK_FILE
    patience = _TRIES
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError.at(directory, f"cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            patience -= 1
            if patience and error.errno in _HELD:
                time.sleep(_WAIT_SECONDS)  # `is_being_written` holds the lock for microseconds
                continue
            raise _lock_error(directory, error, holder) from error
        if _is_still(path, lock):
            break
        os.close(lock)  # the holder finished and removed the file between our open and our lock
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        # On a full disk the number of the process is lost, not the lock; what follows reports the disk.
        pass
    return lock


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock_error(directory: Path, error: OSError, holder: str) -> UserError:
    if error.errno in _HELD:
        return StoreError.at(
            directory,
            f"process {holder or '(unknown)'} is writing this run",
            "wait until it has finished, or stop it and start again to resume",
        )
    return StoreError.at(
        directory,
        f"the file system cannot lock files: {error.strerror}",
        "choose a results folder on a local disk and copy finished runs from there",
    )


def is_being_written(directory: Path) -> bool:
    """Whether some process holds the lock of a run directory right now."""
    try:
        lock = os.open(directory / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    finally:
        os.close(lock)
    return False
