"""The index as it is now: opened once a process, and brought up to date when it is asked for, but not at every question."""

from __future__ import annotations

import functools
import threading
import time

from evalharness.index.index import RunIndex, open_index
from evalharness.run.store import ResultStore

#: Seconds between looks at the run directories: a listing of thousands takes a tenth of one.
_REFRESH_SECONDS = 2.0


class LiveIndex:
    """One store's index, shared by pages and interface."""

    def __init__(self, root: str) -> None:
        self._index = open_index(ResultStore(root))
        self._refreshed = time.monotonic()
        self._lock = threading.Lock()

    def current(self) -> RunIndex:
        """Return the index, no staler than two seconds; raises StoreError when the store cannot be listed."""
        with self._lock:
            if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
                self._refreshed = time.monotonic()
                self._index.refresh()
        return self._index


@functools.cache
def live_index(root: str) -> LiveIndex:
    """Return the index of the store at `root`; raises StoreError when it cannot be listed."""
    return LiveIndex(root)
