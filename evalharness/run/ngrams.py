"""Which n-grams of words of some documents occur in a corpus: exact, in one pass, in memory that the documents set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from evalharness.run.corpus import BETWEEN_TEXTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Of Brown et al. 2020 (arXiv:2005.14165, appendix C): the size for filtering, and the most for measuring.
DEFAULT_NGRAM = 13
_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class DocumentOverlap:
    """What of one document occurs in the corpus.

    n_ngrams: at all its positions, none where it has fewer words than n; n_found: those that the corpus holds. The longest run
    of words whose n-grams all occur begins at word run_begin and has run_words words. file: where the first of the run was
    first met, by position in the corpus; None where nothing occurs.
    """

    n_ngrams: int
    n_found: int
    run_begin: int = 0
    run_words: int = 0
    file: int | None = None


class NgramSearch:
    """Looks for the n-grams of `documents` (lists of words) in words that are fed to it.

    Words become ids by the documents' vocabulary; a word that no document has ends every n-gram. N-grams are found by a 64-bit
    multilinear hash and then compared word by word, so that a collision adds nothing.
    """

    def __init__(self, documents: Sequence[Sequence[str]], n: int = DEFAULT_NGRAM) -> None:
        self.n = n
        self.n_words = 0
        self._ids: dict[str, int] = {}
        # `BETWEEN_TEXTS` gets an id where a document has it, and is looked up as unknown all the same.
        numbered = [
            np.array([self._ids.setdefault(word, len(self._ids) + 1) for word in words], np.int64)
            for words in documents
        ]
        self._ids.pop(BETWEEN_TEXTS, None)
        self._lengths = [max(0, len(ids) - n + 1) for ids in numbered]
        windows = [sliding_window_view(ids, n) for ids in numbered if len(ids) >= n]
        self._windows = np.concatenate(windows).astype(np.int32) if windows else np.zeros((0, n), np.int32)
        self._hashes, self._first, self._which = self._indexed()
        #: Per distinct n-gram, 1 + the position of the file where it was first met, 0 while it was not.
        self._met = np.zeros(len(self._hashes), np.int32)
        self._carry = np.zeros(0, np.int64)

    def feed(self, words: Sequence[str], file: int) -> None:
        """Look at the next words of the text that is read; n-grams go on from one call to the next."""
        self.n_words += len(words) - words.count(BETWEEN_TEXTS)
        fresh = np.fromiter(map(self._ids.get, words, repeat(0)), np.int64, len(words))
        ids = np.concatenate([self._carry, fresh])
        self._carry = ids[max(0, len(ids) - self.n + 1) :] if self.n > 1 else ids[:0]
        if len(ids) < self.n or not len(self._hashes):
            return
        n_unknown = np.concatenate([[0], np.cumsum(ids == 0)])
        begins = np.flatnonzero(n_unknown[self.n :] == n_unknown[: -self.n])
        windows = sliding_window_view(ids, self.n)[begins]
        hashes = self._hash(windows)
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        hit = self._hashes[places] == hashes
        places, windows = places[hit], windows[hit]
        same = (self._windows[self._first[places]] == windows).all(axis=1)
        places = places[same]
        self._met[places[self._met[places] == 0]] = file + 1

    def end_text(self) -> None:
        """Forget the words before, so that no n-gram reaches from one text into the next."""
        self._carry = self._carry[:0]

    def overlaps(self) -> Iterator[DocumentOverlap]:
        """Yield what was found of each document, in their order."""
        end = 0
        for length in self._lengths:
            begin, end = end, end + length
            met = self._met[self._which[begin:end]]
            n_found = int(np.count_nonzero(met))
            if not n_found:
                yield DocumentOverlap(length, 0)
                continue
            first, last = _longest_run(met > 0)
            yield DocumentOverlap(length, n_found, first, last - first + self.n - 1, int(met[first]) - 1)

    def _indexed(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the distinct hashes in order, a window of each, and which hash each window has."""
        seed = 0
        while True:
            generator = np.random.default_rng(seed)
            self._factors = generator.integers(1 << _HASH_BITS, size=self.n, dtype=np.uint64) | np.uint64(1)
            hashes, first, which = np.unique(self._hash(self._windows), return_index=True, return_inverse=True)
            if (self._windows[first[which]] == self._windows).all():
                return hashes, first, which
            seed += 1  # two n-grams of the documents have one hash: draw other factors

    def _hash(self, windows: NDArray[np.integer]) -> NDArray[np.uint64]:
        """Return the sums of ids times random odd factors, modulo 2**64; windows: shape (n_windows, n)."""
        total = np.zeros(len(windows), np.uint64)
        for position, factor in enumerate(self._factors):
            total += windows[:, position].astype(np.uint64) * factor
        return total


def _longest_run(met: NDArray[np.bool_]) -> tuple[int, int]:
    """Return begin and end (exclusive) of the first of the longest runs of true values, of which there is one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], met, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - begins))
    return int(begins[longest]), int(ends[longest])
