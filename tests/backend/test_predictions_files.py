"""Files of predictions are recognised by their content, and read strictly.

The files in `foreign/` were written by the other harnesses themselves, on four sums: lm-evaluation-harness 0.4.13 and
lighteval 0.13.0 with the zoo's llama-tiny, Inspect 0.3.285 with its mock model (the .json log without its events).
"""

import json
import zipfile
from pathlib import Path

import pytest

from evalharness.backend.predictions_files import detected, read_source
from evalharness.errors import ModelError

FOREIGN = Path(__file__).parent / "foreign"


@pytest.fixture
def written(tmp_path):
    """Write a file of predictions."""

    def write(content, name="predictions.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("samples_sums.jsonl", "lm-eval"),
        ("samples_ppl.jsonl", "lm-eval"),
        ("details_pick.parquet", "lighteval"),
        ("inspect_repeats.eval", "inspect"),
        ("inspect_plain.json", "inspect"),
    ],
)
def test_another_harness_is_recognised_by_what_it_writes(name, kind):
    assert read_source(FOREIGN / name).format == kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('{"document_id": "a", "text": "A"}\n', "jsonl"),
        ('\ufeff{"logprobs": [-1]}\n', "jsonl"),
        ("document_id,text\na,A\n", "csv"),
        ('"text"\n"A, or B"\n', "csv"),
    ],
)
def test_plain_files_are_recognised(written, content, kind):
    path = written(content)
    assert detected(path, path.read_bytes()) == kind


def test_a_file_that_could_be_two_kinds_is_refused(written):
    row = {"doc_id": 0, "doc": {}, "resps": [], "text": "A"}
    with pytest.raises(ModelError, match=r"lm-eval or jsonl\n.*--format"):
        read_source(written(json.dumps(row)))


def test_a_file_of_no_kind_is_refused(written):
    with pytest.raises(ModelError, match=r"no known kind of predictions.*\n.*--format"):
        read_source(written("just some words\n"))


def test_what_the_format_says_is_stronger_than_the_content(written):
    with pytest.raises(ModelError, match="not a sample of lm-evaluation-harness"):
        read_source(written('{"document_id": "a", "text": "A"}\n'), "lm-eval")


def test_short_names_of_columns_are_understood(written):
    (found,) = read_source(written('{"id": 7, "prediction": "seven"}')).found
    assert (found.document_id, found.answer) == ("7", {"text": "seven"})


def test_a_csv_cell_may_hold_line_breaks_commas_and_lists(written):
    text = 'id,text,repeat,logprobs\na,"one,\ntwo",1,\nb,,0,"[-1.5, -2]"\n'
    first, second = read_source(written(text)).found
    assert first.answer == {"text": "one,\ntwo", "repeat": 1}
    assert second.answer == {"repeat": 0, "logprobs": (-1.5, -2.0)}


def test_an_empty_csv_cell_of_text_is_an_empty_answer(written):
    (found,) = read_source(written("id,text\na,\n")).found
    assert found.answer == {"text": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text,txet\na,A,B\n", r":1: unknown column `txet`"),
        ("id,text\na,A,B\n", r":2: the number of cells differs"),
        ("id,text,repeat\na,A,first\n", r":2: repeat: 'first' cannot be read"),
        ('id,text\na,"A\n', "not valid CSV"),
        (b"id,text\na,\xff\n", "not UTF-8"),
    ],
)
def test_a_wrong_csv_file_is_refused_with_its_line(written, content, message):
    with pytest.raises(ModelError, match=message):
        read_source(written(content), "csv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "document_id": "a", "text": "A"}', "`id` and `document_id` are the same field"),
        ('{"document_id": ["a"], "text": "A"}', "document_id: .*got"),
        ('{"document_id": "a", "slot": {}, "text": "A"}', "slot: .*got"),
        ('{"document_id": "a", "text": "A", "logprobs": [-1]}', "a prediction holds one of text, logprobs and logits"),
        ("[1]", "not a JSON object"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(written, line, message):
    with pytest.raises(ModelError, match=f":2: {message}"):
        read_source(written('{"document_id": "b", "text": "B"}\n' + line), "jsonl")


def test_two_columns_of_one_name_are_refused(written):
    with pytest.raises(ModelError, match=":1: two columns are named `text`"):
        read_source(written("id,text,text\na,A,B\n"))


def test_a_log_probability_that_is_not_finite_fails_its_document(written):
    lines = (FOREIGN / "samples_pick.jsonl").read_text().splitlines()
    changed = json.loads(lines[1])
    changed["resps"][2][0][0] = "-inf"
    found = read_source(written("\n".join([lines[0], json.dumps(changed)]))).found
    assert "logprobs" in found[0].answer
    assert found[1].answer == {"error": "a log-probability is -inf"}


def test_log_probabilities_of_lm_eval_are_numbers_again():
    first = read_source(FOREIGN / "samples_pick.jsonl").found[0]
    assert first.answer["logprobs"][0] == -2.6879119873046875  # as the file's text says
    assert first.continuations[:4] == (" 2", " 4", " 6", " 8")
    assert len(first.answer["logprobs"]) == 8  # with those without prompt, for mutual information


def test_lines_of_several_filters_of_lm_eval_are_one_answer():
    found = read_source(FOREIGN / "samples_reps.jsonl").found
    assert [(each.row, each.answer["repeat"]) for each in found] == [(row, r) for row in range(4) for r in range(3)]


def test_the_shuffled_rows_of_lighteval_keep_their_numbers():
    found = read_source(FOREIGN / "details_sums.parquet").found
    assert [each.row for each in found] != sorted(each.row for each in found)
    assert {each.row: each.target for each in found} == {0: "2", 1: "4", 2: "6", 3: "8"}


def test_another_parquet_file_is_refused_with_its_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"predictions": ["a"]}), tmp_path / "old.parquet")
    with pytest.raises(ModelError, match="no columns doc and model_response; its columns: predictions"):
        read_source(tmp_path / "old.parquet")


def test_epochs_of_inspect_are_repeats():
    found = read_source(FOREIGN / "inspect_repeats.eval").found
    assert sorted((each.document_id, each.answer["repeat"]) for each in found) == [
        (f"d{i}", repeat) for i in range(4) for repeat in range(3)
    ]


def test_inspect_numbers_samples_from_one():
    found = read_source(FOREIGN / "inspect_plain.json").found
    assert [(each.document_id, each.row) for each in found] == [("1", 0), ("2", 1), ("3", 2), ("4", 3)]


def test_numbers_of_shuffled_inspect_samples_are_no_rows(written):
    log = json.loads((FOREIGN / "inspect_plain.json").read_text())
    log["eval"]["dataset"]["shuffled"] = True
    assert {found.row for found in read_source(written(json.dumps(log))).found} == {None}


@pytest.mark.parametrize(
    ("ids", "rows", "counted"),
    [
        ([2, 3], [1, 2], True),  # inspect eval --limit 2-3
        ([2, 4], [None, None], True),  # inspect eval --sample-id 2,4: counts or ids, who knows
        ([0, 1], [None, None], False),  # Inspect counts from 1
        ([2, 400], [None, None], False),  # there are four samples
    ],
)
def test_numbers_of_inspect_samples_are_rows_only_where_that_is_sure(written, ids, rows, counted):
    log = json.loads((FOREIGN / "inspect_plain.json").read_text())
    log["eval"]["dataset"]["sample_ids"] = ids
    log["samples"] = [sample | {"id": ids[i]} for i, sample in enumerate(log["samples"][:2])]
    found = read_source(written(json.dumps(log))).found
    assert [each.row for each in found] == rows
    assert {each.is_counted for each in found} == {counted}


def test_an_inspect_sample_that_broke_off_is_an_error_and_not_an_empty_answer(written):
    log = json.loads((FOREIGN / "inspect_plain.json").read_text())
    log["samples"][1] |= {"output": {"choices": [], "completion": ""}, "error": {"message": "out of time"}}
    assert read_source(written(json.dumps(log))).found[1].answer == {"repeat": 0, "error": "out of time"}


def test_an_uncompressed_log_of_inspect_is_read_too(tmp_path):
    log = json.loads((FOREIGN / "inspect_plain.json").read_text())
    samples = log.pop("samples")
    with zipfile.ZipFile(tmp_path / "a.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(log))
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    assert [each.answer["text"] for each in read_source(tmp_path / "a.eval").found] == [" 2", " 3", " 6", " 8"]


@pytest.mark.parametrize("name", ["inspect_repeats.eval", "details_sums.parquet"])
def test_a_truncated_file_is_refused(written, name):
    whole = (FOREIGN / name).read_bytes()
    with pytest.raises(ModelError):
        read_source(written(whole[: len(whole) // 2]))


def test_a_damaged_entry_is_refused(written):
    content = bytearray((FOREIGN / "inspect_repeats.eval").read_bytes())
    at = content.index(b"samples/d0_epoch_1.json") + 60
    content[at : at + 40] = bytes(40)
    with pytest.raises(ModelError, match="not a log of Inspect"):
        read_source(written(bytes(content)))
