"""Several answers to one document: what k of them, drawn without replacement from the n given, would reach."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the probability that k of n answers, drawn without replacement, hold one of the c that succeed.

    1 - C(n - c, k) / C(n, k): unbiased for the probability that one of k fresh answers succeeds, which 1 - (1 - c / n)^k is
    not. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    Source: Chen et al. 2021, "Evaluating large language models trained on code", arXiv:2107.03374, section 2.1.
    """
    _check(n, c, k)
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def pass_power_k(n: int, c: int, k: int) -> float:
    """Return the probability that k of n answers, drawn without replacement, are all among the c that succeed (pass^k).

    C(c, k) / C(n, k). Raises ValueError as `pass_at_k`.
    Source: Yao et al. 2024, "tau-bench: a benchmark for tool-agent-user interaction in real-world domains", arXiv:2406.12045.
    """
    _check(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def expected_best(ascending: Sequence[float], k: int) -> float:
    """Return the mean over all k-subsets of their last element, of values in the order from worst to best.

    sum over ranks i of x_(i) C(i - 1, k - 1) / C(n, k): `pass_at_k` for values other than 0 and 1.
    """
    n = len(ascending)
    _check(n, 0, k)
    return math.fsum(math.comb(i, k - 1) / math.comb(n, k) * x for i, x in enumerate(ascending))


def _check(n: int, c: int, k: int) -> None:
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(
            f"{k} of {n} answers, of which {c} succeed: c must not exceed n, and k must lie between 1 and n"
        )
