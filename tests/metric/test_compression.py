"""Compression ratios: the same chunks for all four, each compressed on its own."""

import bz2
import gzip
import itertools
import lzma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_samples import chosen, compressed, read

from evalharness.errors import EngineError
from evalharness.metric.compression import Bz2Ratio, CompressionRatio, GzipRatio, LzmaRatio
from evalharness.request import CHUNK_BYTES, text_chunks

TEXTS = ["to be or not to be, " * 300, "我喜欢吃苹果和香蕉。" * 100, "x"]
OTHERS = {
    GzipRatio: lambda data: gzip.compress(data, 9),
    Bz2Ratio: lambda data: bz2.compress(data, 9),
    LzmaRatio: lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}
DECOMPRESS = {GzipRatio: gzip.decompress, Bz2Ratio: bz2.decompress, LzmaRatio: lzma.decompress}


def value(metric, samples):
    return float(metric.value(np.array([metric.row(sample) for sample in samples]).sum(axis=0)))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(4, 40))
def test_chunks_are_the_text_and_as_full_as_characters_allow(text, chunk_bytes):
    chunks = text_chunks(text, chunk_bytes)
    assert "".join(chunks) == text
    assert all(0 < len(chunk.encode()) <= chunk_bytes for chunk in chunks)
    for chunk, following in itertools.pairwise(chunks):
        assert len((chunk + following[0]).encode()) > chunk_bytes


def test_a_chunk_that_holds_no_character_is_refused():
    with pytest.raises(ValueError, match="3 bytes"):
        text_chunks("中", 3)


@pytest.mark.parametrize("metric", list(OTHERS))
def test_others_compress_the_chunks_of_the_text(metric):
    samples = [compressed(text, 1) for text in TEXTS]
    codes = [OTHERS[metric](chunk.encode()) for text in TEXTS for chunk in text_chunks(text, CHUNK_BYTES)]
    assert b"".join(map(DECOMPRESS[metric], codes)) == "".join(TEXTS).encode()
    expected = sum(map(len, codes)) / sum(len(text.encode()) for text in TEXTS)
    assert value(metric(), samples) == expected
    # a chunk knows nothing of the one before
    assert value(metric(), samples) > len(OTHERS[metric](TEXTS[0].encode())) / len(TEXTS[0].encode())


def test_others_need_no_compression_by_the_model():
    assert value(GzipRatio(), [read(-1.0)]) == len(gzip.compress(b"prompt", 9)) / len(b"prompt")


def test_the_ratio_of_a_model_is_of_the_whole_corpus():
    samples = [compressed("a" * 90, 10), compressed("b" * 10, 15)]
    assert value(CompressionRatio(), samples) == 25 / 100


def test_a_text_that_was_not_compressed_has_no_ratio():
    with pytest.raises(EngineError, match="not Scored"):
        CompressionRatio().row(chosen([-1.0, -2.0, -1.0, -1.0], [0]))
