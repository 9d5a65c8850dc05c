"""How the tests of one gate share alpha, so that all together fail an unchanged model in at most alpha of all cases."""

from __future__ import annotations

from collections.abc import Sequence


def shares(n_tasks: Sequence[int], has_average: Sequence[bool], suite_share: float) -> tuple[list[float], list[float]]:
    """Return the part of alpha that each baseline's average, and each of its tasks, starts with; all together 1.

    n_tasks: how many tasks each baseline has in the family. has_average: whether its average is in it. suite_share: of a
    baseline's part for its average, where it has tasks beside it.
    """
    n_baselines = sum(n > 0 or average for n, average in zip(n_tasks, has_average, strict=True))
    suites, tasks = [], []
    for n, average in zip(n_tasks, has_average, strict=True):
        own = (suite_share if n else 1.0) if average else 0.0
        suites.append(own / max(n_baselines, 1))
        tasks.append((1 - own) / n / n_baselines if n else 0.0)
    return suites, tasks
