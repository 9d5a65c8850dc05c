"""How small a text becomes: by the model's probabilities and an arithmetic coder, and by gzip, bz2 and lzma beside it.

All four compress the same chunks, each on its own (Deletang et al. 2023, "Language Modeling Is Compression",
arXiv:2309.10668). The ratios are raw ones: the bytes of the model, or of the program, are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from pydantic.dataclasses import dataclass

from evalharness.errors import EngineError
from evalharness.metric.base import STRICT, Aggregation, FloatArray, signature_of
from evalharness.metric.reading import last_step
from evalharness.request import CHUNK_BYTES, Compressed, OutputKind, Sample, text_chunks


class _Ratio:
    """Makes a metric the ratio of bytes after to bytes before: `row` returns both."""

    columns: ClassVar[tuple[str, ...]] = ("compressed_bytes", "bytes")
    higher_is_better: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"perplexity"})
    aggregation: ClassVar[Aggregation] = "ratio"
    unit: ClassVar[str] = "fraction"

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 2) sums to (...) ratios."""
        return totals[..., 0] / totals[..., 1]


@dataclass(frozen=True, config=STRICT)
class CompressionRatio(_Ratio):
    """Bytes after compression by the model / bytes before, over all texts; decompression gave back every byte."""

    name: ClassVar[str] = "compression_ratio"

    needs_compression: ClassVar[bool] = True

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (bytes after, bytes before)."""
        response = last_step(sample)[1]
        if not isinstance(response, Compressed):
            raise EngineError(
                f"{response.key}: compression_ratio needs a compressed text, not {type(response).__name__}"
            )
        return (float(response.n_compressed_bytes), float(response.n_bytes))

    def signature(self) -> str:
        """Name the size of a chunk."""
        return signature_of(self, chunk_bytes=CHUNK_BYTES)


@dataclass(frozen=True, config=STRICT)
class GzipRatio(_Ratio):
    """Bytes after gzip at level 9, its header and checksum included (18 bytes a chunk), / bytes before, over all texts."""

    name: ClassVar[str] = "gzip_ratio"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (bytes after, bytes before)."""
        import gzip

        return _sizes(sample, lambda chunk: gzip.compress(chunk, compresslevel=9, mtime=0))

    def signature(self) -> str:
        """Name the level, the size of a chunk and the version of zlib."""
        import zlib

        return signature_of(self, level=9, chunk_bytes=CHUNK_BYTES, zlib=zlib.ZLIB_RUNTIME_VERSION)


@dataclass(frozen=True, config=STRICT)
class Bz2Ratio(_Ratio):
    """Bytes after bzip2 at level 9 / bytes before, over all texts."""

    name: ClassVar[str] = "bz2_ratio"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (bytes after, bytes before)."""
        import bz2

        return _sizes(sample, lambda chunk: bz2.compress(chunk, compresslevel=9))

    def signature(self) -> str:
        """Name the level and the size of a chunk."""
        return signature_of(self, level=9, chunk_bytes=CHUNK_BYTES)


@dataclass(frozen=True, config=STRICT)
class LzmaRatio(_Ratio):
    """Bytes after xz at its most extreme preset, container and CRC-64 included, / bytes before, over all texts."""

    name: ClassVar[str] = "lzma_ratio"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (bytes after, bytes before)."""
        import lzma

        return _sizes(sample, lambda chunk: lzma.compress(chunk, preset=9 | lzma.PRESET_EXTREME))

    def signature(self) -> str:
        """Name the preset and the size of a chunk."""
        return signature_of(self, preset="9e", chunk_bytes=CHUNK_BYTES)


def _sizes(sample: Sample, compress: Callable[[bytes], bytes]) -> tuple[float, float]:
    """Return bytes after and before compression of the text that the model was given, chunk by chunk."""
    if not isinstance(sample.prompt, str):
        raise EngineError(f"document `{sample.document.id}`: a text was to be compressed, not a chat")
    chunks = [chunk.encode() for chunk in text_chunks(sample.prompt)]
    return (float(sum(len(compress(chunk)) for chunk in chunks)), float(sum(map(len, chunks))))
