"""Words of texts, corpora read as streams, and n-grams found in them."""

import gzip
import json
import string
import time
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.errors import DataError
from evalharness.run import corpus as corpus_module
from evalharness.run.corpus import find_corpus, words_of
from evalharness.run.leaks import search_corpus
from evalharness.run.ngrams import NgramSearch
from evalharness.run.progress import Silent

PASSAGE = "The quick brown fox jumps over the lazy dog while seven wizards watch from the hill"


def overlaps(documents, paths, n=13, column="text"):
    words = [words_of(document) for document in documents]
    return list(search_corpus(words, find_corpus(list(map(str, paths)), column), n, Silent()))


def found(document, paths, n=3, **more):
    return next(iter(overlaps([document], paths, n, **more))).n_found


def written(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zstandard(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


def by_the_definition(document, texts, n):
    """Count the n-grams of a document that stand in one of the texts, position by position."""
    held = {tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)}
    return sum(tuple(document[i : i + n]) in held for i in range(len(document) - n + 1))


# Words


def test_words_ignore_case_punctuation_and_white_space():
    assert words_of("The  state-of-the-art,\n“QUOTED” (word)… isn't") == [
        "the",
        "stateoftheart",
        "quoted",
        "word",
        "isnt",
    ]


def test_each_chinese_character_is_a_word_and_its_punctuation_none():
    assert words_of("你好，GPT-3世界。") == ["你", "好", "gpt3", "世", "界"]


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("a.，你 \nΣß")))
def test_words_agree_with_a_definition_character_by_character(text):
    kept = ""
    for character in text.casefold():
        if unicodedata.category(character).startswith("P") or character in string.punctuation:
            continue
        alone = any(first <= ord(character) <= last for first, last in corpus_module._UNSPACED)
        kept += f" {character} " if alone else character
    assert words_of(text) == kept.split()


# N-grams


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=12), min_size=1, max_size=4),
    st.lists(st.lists(st.sampled_from("abcde"), max_size=30), max_size=3),
    st.integers(1, 5),
    st.integers(1, 7),
)
def test_overlap_equals_the_definition_however_the_texts_are_cut(documents, texts, n, size):
    search = NgramSearch(documents, n)
    for words in texts:
        for begin in range(0, len(words), size):
            search.feed(words[begin : begin + size], 0)
        search.end_text()
    got = [(overlap.n_ngrams, overlap.n_found) for overlap in search.overlaps()]
    assert got == [(max(0, len(d) - n + 1), by_the_definition(d, texts, n)) for d in documents]


def test_the_longest_run_is_told_in_words_of_the_document():
    search = NgramSearch([["x", *"abcdef", "y", *"ghi"]], 3)
    search.feed([*"abcdef", "z", *"ghi"], 7)
    (overlap,) = search.overlaps()
    assert (overlap.run_begin, overlap.run_words, overlap.file) == (1, 6, 7)


def test_a_share_is_told_with_the_file_that_holds_it_first(tmp_path):
    paths = [written(tmp_path, f"{i}.txt", text) for i, text in enumerate(["nothing here", PASSAGE, PASSAGE])]
    document = f"Question: what happens? {PASSAGE.upper()}!"
    (overlap,) = overlaps([document], paths)
    # 19 words make 7 n-grams of 13; the passage has 16 words, 4 n-grams.
    assert (overlap.n_ngrams, overlap.n_found, overlap.run_words, overlap.file) == (7, 4, 16, 1)


def test_a_document_shorter_than_an_ngram_has_none(tmp_path):
    (overlap,) = overlaps(["two words"], [written(tmp_path, "a.txt", "two words")])
    assert (overlap.n_ngrams, overlap.n_found, overlap.file) == (0, 0, None)


def test_a_word_of_value_zero_joins_no_texts(tmp_path):
    rows = "".join(json.dumps({"text": text}) + "\n" for text in ["a b", "c d"])
    assert found("b \0 c", [written(tmp_path, "a.jsonl", rows)]) == 0


# Streams


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.sampled_from("ab你好é.， \n"), max_size=60),
    st.integers(1, 9),
)
def test_words_of_a_file_do_not_depend_on_the_pieces_it_is_read_in(tmp_path_factory, text, size):
    path = written(tmp_path_factory.mktemp("corpus"), "a.txt", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "PIECE_CHARACTERS", size)
        read = [word for piece, _ in find_corpus([str(path)]).pieces(path) for word in words_of(piece)]
    assert read == words_of(text)


def test_a_passage_across_the_border_of_pieces_is_found(tmp_path):
    before = "x" * 9 + " "
    filler = before * (corpus_module.PIECE_CHARACTERS // len(before)) + "y "
    (overlap,) = overlaps([PASSAGE], [written(tmp_path, "a.txt", filler[: -len(PASSAGE) // 2] + " " + PASSAGE)])
    assert overlap.n_found == overlap.n_ngrams == 4


def test_a_long_line_of_dashes_is_no_word_and_one_of_letters_is(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "PIECE_CHARACTERS", 1000)
    long = 3 * corpus_module.LONGEST_WORD_CHARACTERS
    assert found("a b c", [written(tmp_path, "dashes.txt", f"a b {'-' * long} c")]) == 1
    assert found("a b c", [written(tmp_path, "letters.txt", f"a b {'q' * long} c")]) == 0


@pytest.mark.parametrize("pack", [gzip.compress, zstandard])
def test_packed_files_are_read_as_plain_ones(tmp_path, pack):
    ending = ".gz" if pack is gzip.compress else ".zst"
    lines = json.dumps({"text": PASSAGE}).encode() + b"\n"
    for name, content in (("a.txt", PASSAGE.encode()), ("b.jsonl", lines)):
        path = written(tmp_path, name + ending, pack(content[:20]) + pack(content[20:]))
        assert overlaps([PASSAGE], [path])[0].n_found == 4


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, ending):
    whole = gzip.compress(PASSAGE.encode()) if ending == ".gz" else zstandard(PASSAGE.encode())
    path = written(tmp_path, f"a.txt{ending}", whole[:-9])
    with pytest.raises(DataError, match=f"a.txt{ending}: cannot be read"):
        overlaps([PASSAGE], [path])


def test_texts_of_json_lines_do_not_run_into_one_another(tmp_path):
    rows = "".join(json.dumps({"body": text}) + "\n\n" for text in ["a b c", "d e f"])
    path = written(tmp_path, "a.jsonl", rows)
    assert found("b c d", [path], column="body") == 0
    assert found("d e f", [path], column="body") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"txt": "a"}', r"a.jsonl:2: has no column `text`\n.*did you mean `txt`.*--column"),
        ('{"text": 3}', "a.jsonl:2: column `text` holds int"),
        ('{"text": "a', "a.jsonl:2: not valid JSON"),
        ('["text"]', "a.jsonl:2: has no column"),
    ],
)
def test_a_wrong_line_is_an_error_with_its_number(tmp_path, line, said):
    path = written(tmp_path, "a.jsonl", '{"text": "fine"}\n' + line + "\n")
    with pytest.raises(DataError, match=said):
        overlaps(["a b"], [path], 1)


@pytest.mark.parametrize("content", ["", " \n ", "...", "\ufeff"])
def test_a_corpus_without_words_is_an_error(tmp_path, content):
    with pytest.raises(DataError, match="holds no words"):
        overlaps(["a b"], [written(tmp_path, "a.txt", content)], 1)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(DataError, match="it is no text"):
        overlaps(["a b"], [written(tmp_path, "a.bin", b"PK\x00\x01")], 1)


def test_bytes_that_are_no_utf8_are_counted(tmp_path):
    path = written(tmp_path, "a.txt", b"caf\xe9 a b")
    corpus = find_corpus([str(path)])
    list(search_corpus([["a", "b"]], corpus, 2, Silent()))
    assert corpus.n_replaced_characters == 1


def test_a_folder_is_read_with_all_that_it_holds_and_what_is_left_out_is_told(tmp_path):
    for name in ("b/c.jsonl.gz", "a.txt", "b/d.TXT.zst", "e.parquet", ".f"):
        written(tmp_path, name, "")
    corpus = find_corpus([str(tmp_path), str(tmp_path / "a.txt")])
    assert [path.name for path in corpus.paths] == ["a.txt", "c.jsonl.gz", "d.TXT.zst"]
    assert sorted(path.name for path in corpus.skipped) == [".f", "e.parquet"]


def test_all_names_that_are_wrong_are_told_together(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as fault:
        find_corpus([str(tmp_path / "empty"), str(tmp_path / "nowhere")])
    assert [problem.what for problem in fault.value.problems] == [
        "the folder holds no text",
        "there is no such file or folder",
    ]


@pytest.mark.slow
def test_fifty_megabytes_are_read_at_a_usable_rate(tmp_path):
    generator = np.random.default_rng(0)
    vocabulary = [f"{number:b}" for number in range(30_000)]
    documents = [" ".join(generator.choice(vocabulary, 80)) for _ in range(1000)]
    line = " ".join(generator.choice(vocabulary, 80_000)) + ".\n"
    path = written(tmp_path, "a.txt", (line * (50_000_000 // len(line) + 1)) + documents[17])
    begun = time.process_time()
    got = overlaps(documents, [path])
    # Over 20 MB a second of processor time were measured; less than a tenth of it leaves room for slow machines.
    rate = path.stat().st_size / 1e6 / (time.process_time() - begun)
    assert rate > 1.5
    assert [i for i, overlap in enumerate(got) if overlap.n_found] == [17]
