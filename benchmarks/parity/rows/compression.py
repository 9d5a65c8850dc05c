"""Compression: Python's programs on the same chunks, and the entropy of the model's probabilities."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version

import numpy as np

from evalharness.request import Compress
from rows.plain import MODEL, Plain, asked, keys
from rows.row import Row, ours, sample
from rows.texts import Texts

CHUNK_BYTES = 2048
#: What the coder may add to a chunk: two bits at its end, and less than eight to fill the last byte.
OVERHEAD_BYTES = (2 + 7) / 8
#: How finely the coder divides the probability of the most probable token: evalharness/engine/compress.py.
STEPS = 2**30


def compression(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare gzip, bz2 and lzma with Python's modules, and the model's code with the entropy of its probabilities."""
    programs: Mapping[str, Callable[[bytes], bytes]] = {
        "gzip_ratio": lambda chunk: gzip.compress(chunk, 9, mtime=0),
        "bz2_ratio": lambda chunk: bz2.compress(chunk, 9),
        "lzma_ratio": lambda chunk: lzma.compress(chunk, preset=9 | lzma.PRESET_EXTREME),
    }
    documents = {
        "WMT17 en-de, 200 references as 4 texts": _joined(found["wmt 0"].references[:200], 50),
        "Chinese, 100 lines as 4 texts": _joined(found["zh"].references[:100], 25),
        "GSM8K, 20 references": _joined(found["gsm8k"].references[:20], 1),
        "one-word texts": ["word", "other", "a"],
    }
    plain = Plain()
    for shown, texts in documents.items():
        n_bytes = sum(len(text.encode()) for text in texts)
        chunks = [chunk for text in texts for chunk in _chunks(text)]
        samples = [dataclasses.replace(sample([], []), prompt=text) for text in texts]
        for name, compress in programs.items():
            expected = sum(len(compress(chunk.encode())) for chunk in chunks) / n_bytes
            yield Row(name, "", shown, ours(name, {}, samples), expected, f"Python's {name.removesuffix('_ratio')}")
        answered = asked([Compress(key, text) for key, text in zip(keys(len(texts)), texts, strict=True)], texts)
        # A task asks for a text's log-probability first, and the metric reads the second response.
        answered = [dataclasses.replace(one, responses=(one.responses[0] * 2,)) for one in answered]
        entropy = sum(_entropy_bytes(plain, chunk) for chunk in chunks) / n_bytes
        tolerance = OVERHEAD_BYTES * len(chunks) / n_bytes
        by = f"transformers {version('transformers')}, entropy of {len(chunks)} chunks"
        yield Row("compression_ratio", MODEL, shown, ours("compression_ratio", {}, answered), entropy, by, tolerance)


def _joined(references: Sequence[tuple[str, ...]], n_lines: int) -> list[str]:
    every = [refs[0] for refs in references]
    return ["\n".join(every[i : i + n_lines]) for i in range(0, len(every), n_lines)]


def _chunks(text: str) -> list[str]:
    """Cut a text every 2048 bytes, and a character earlier where that would split one."""
    chunks, rest = [], text.encode()
    while rest:
        chunks.append(rest[:CHUNK_BYTES].decode(errors="ignore"))
        rest = rest[len(chunks[-1].encode()) :]
    return chunks


def _entropy_bytes(plain: Plain, chunk: str) -> float:
    """Return the sum of -log2 p in bytes, and the two bytes of the chunk's length; the model begins anew at its context.

    The coder's p: each token's share of the most probable one's, in whole 2**-30, and one of these more, so that none is
    impossible. A token that the model finds nearly impossible, as this one often does, costs less by that.
    """
    ids, size = plain.ids(chunk), int(plain.model.config.max_position_embeddings)
    bits = 0.0
    for at in range(0, len(ids) - 1, size):
        logits = plain.logits(ids[at : at + size])
        shares = np.floor(np.exp(logits - logits.max(axis=1, keepdims=True)) * STEPS) + 1
        targets = ids[at + 1 : at + size + 1]
        shares = shares[: len(targets)]
        bits -= float(np.log2(shares[np.arange(len(targets)), targets] / shares.sum(axis=1)).sum())
    return bits / 8 + 2
