"""Samples are found by outcome and by text, and read by position, as a plain reading of all of them finds them."""

import json

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_cases import samples

from evalharness.errors import StoreError
from evalharness.request import Document, Failed, Generated, Message, RequestKey, Sample
from evalharness.run.record import SampleRecord
from evalharness.run.sample_search import SampleSearch
from evalharness.run.samples import read_samples, write_samples


def written(path, records):
    write_samples(path / "samples.parquet", records)
    return path / "samples.parquet"


def searched(path, method, *arguments):
    with path.open("rb") as file:
        return getattr(SampleSearch(file, path), method)(*arguments)


def record(i, text, *, prompt="?", stopped_by="eos", cut=0, error=None):
    key = RequestKey("t", str(i))
    response = Failed(key, error) if error else Generated(key, text, 3, stopped_by, 9, cut)
    answers = () if error else (text,)
    sample = Sample("t", Document(str(i), {}, "c"), prompt, ("ref",), ((response,),), "h", answers=answers, error=error)
    return SampleRecord(sample, {} if error else {"m": (1.0, 1.0)})


def test_outlines_tell_failures_cuts_and_lengths(tmp_path):
    path = written(
        tmp_path,
        [
            record(0, "four", prompt="12345"),
            record(1, "x", stopped_by="length"),
            record(2, "x", cut=7),
            record(3, "", error="no"),
        ],
    )
    found = searched(path, "outlines", "t")
    assert found.document_ids.tolist() == ["0", "1", "2", "3"]
    assert found.has_failed.tolist() == [False, False, False, True]
    assert found.reached_limit.tolist() == [False, True, False, False]
    assert found.is_truncated.tolist() == [False, False, True, False]
    assert found.n_prompt_characters.tolist() == [5, 1, 1, 1]
    assert found.n_answer_characters.tolist() == [4, 1, 1, 0]


def test_a_task_that_the_run_has_not_has_no_samples(tmp_path):
    path = written(tmp_path, samples())
    assert len(searched(path, "outlines", "other").document_ids) == 0
    assert len(searched(path, "containing", "other", "x")) == 0


def test_samples_are_read_by_position_in_the_order_asked_for(tmp_path):
    path = written(tmp_path, samples())
    with path.open("rb") as file:
        every = list(read_samples(file, path, "arithmetic"))
    assert searched(path, "at", "arithmetic", [3, 0]) == [every[3], every[0]]
    assert searched(path, "at", "arithmetic", [2], ("prompt",)) == [{"prompt": every[2]["prompt"]}]
    assert searched(path, "at", "arithmetic", []) == []


def test_a_position_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(IndexError, match="no sample at position 4"):
        searched(written(tmp_path, samples()), "at", "arithmetic", [4])


def test_texts_are_found_whatever_their_case_in_prompts_turns_answers_and_responses(tmp_path):
    chat = record(2, "-", prompt=(Message("user", 'Größe "7"'),))
    path = written(
        tmp_path, [record(0, "Straße"), record(1, "x", prompt="THE QUESTION"), chat, record(3, "", error="Bad")]
    )
    for text, expected in (
        ("question", [1]),
        ("STRAßE", [0]),
        ('größe "7"', [2]),
        ("bad", [3]),
        ("REF", [0, 1, 2, 3]),
    ):
        found = searched(path, "containing", "t", text)
        assert [i for i, each in enumerate(found) if each] == expected, text


def test_names_of_keys_are_no_text(tmp_path):
    path = written(tmp_path, [record(0, "x"), record(1, "kind of stopped_by")])
    assert searched(path, "containing", "t", "kind").tolist() == [False, True]
    assert searched(path, "containing", "t", "stopped_by").tolist() == [False, True]


@settings(max_examples=30, deadline=None)  # each writes a file
@given(text=st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable()))
def test_any_answer_is_found_by_its_own_text(tmp_path_factory, text):
    path = written(tmp_path_factory.mktemp("samples"), [record(0, f"before {text} after")])
    assert searched(path, "containing", "t", text).tolist() == [True]


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "samples.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(StoreError, match="cannot be read"):
        searched(path, "outlines", "t")


def test_files_that_were_written_before_judgements_are_searched(tmp_path):
    path = written(tmp_path, samples())
    older = pq.read_table(path).drop_columns(["judgements", "executions"]).filter(pc.field("task") == "arithmetic")
    metadata = {b"evalharness.tasks": json.dumps(["arithmetic"])}
    pq.write_table(older.replace_schema_metadata(metadata), path, write_page_checksum=True)
    assert searched(path, "containing", "arithmetic", "it is 4").sum() == 1
    assert searched(path, "at", "arithmetic", [0])[0]["judgements"] == {}
