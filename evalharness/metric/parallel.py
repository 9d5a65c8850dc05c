"""Work on many items on all cores: the same results as one after the other, in the same order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from evalharness.metric.base import Watch

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Starting a worker costs about a second of Python and numpy; less work than this is done at once.
POOL_SECONDS = 5.0


def computed(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    watch: Watch,
    *,
    seconds: float,
    n_workers: int | None = None,
) -> list[Result]:
    """Return ``[function(item) for item in items]``, computed by a process a core where it would take long.

    function: a pure function that can be pickled, so one of a module or a partial of one. watch: told how many items there
    are, and of each that is done. seconds: a rough estimate of the whole work on one core. n_workers: None for as many as
    the process may use. Workers are spawned, not forked: the parent may hold threads and a CUDA context, which do not
    survive a fork.
    """
    workers = min(n_workers or len(os.sched_getaffinity(0)), len(items))
    results: list[Result] = []
    watch.expect(len(items))
    if workers < 2 or seconds < POOL_SECONDS:
        for item in items:
            results.append(function(item))
            watch.advance()
        return results
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        chunk = max(1, len(items) // (16 * workers))
        try:
            for result in pool.map(function, items, chunksize=chunk):
                results.append(result)
                watch.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results
