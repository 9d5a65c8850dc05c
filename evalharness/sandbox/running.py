"""Many programs at once: one thread a core, each driving a sandbox of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from evalharness.sandbox.judging import judge_program
from evalharness.sandbox.program import Limits, Outcome, Program
from evalharness.sandbox.sandbox import Sandbox


def run_programs(
    programs: Sequence[Program],
    *,
    sandbox: Sandbox,
    limits: Limits | None = None,
    workers: int | None = None,
    on_done: Callable[[int, Outcome], None] | None = None,
) -> list[Outcome]:
    """Judge programs in parallel; outcomes come in the programs' order.

    workers: sandboxes at one time, by default one for each core that we may use. on_done: is called in the caller's
    thread with a program's index and outcome, in the order of their ends. An interruption waits for the programs that
    run, which their limits bound.
    """
    limits = limits or Limits()
    outcomes: dict[int, Outcome] = {}
    pool = ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)), thread_name_prefix="sandbox")
    try:
        waiting: dict[Future[Outcome], int] = {
            pool.submit(judge_program, program, sandbox, limits): index for index, program in enumerate(programs)
        }
        for future in as_completed(waiting):
            index = waiting[future]
            outcomes[index] = future.result()
            if on_done is not None:
                on_done(index, outcomes[index])
    finally:
        pool.shutdown(cancel_futures=True)
    return [outcomes[index] for index in range(len(programs))]
