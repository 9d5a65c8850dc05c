"""Where documents come from: every kind of file, globs, the mirror, the hub without a network; hashes and ids."""

import datetime as dt
import decimal
import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_files import loaded

from evalharness.errors import DataError
from evalharness.request import Document, derived_seed
from evalharness.run.preparation import RunSettings, prepare
from evalharness.task.documents import content_hash, data_hash, read_split
from evalharness.task.prompts import make_documents
from evalharness.task.spec import DataSpec


def rows_of(files, **fields):
    return read_split(DataSpec(files={"test": str(files)}, **fields), "test", where="task.yaml:2")


def parquet(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


ROWS = [{"q": "a", "n": "1"}, {"q": "ü\u2028", "n": "2"}]


def test_json_jsonl_csv_and_parquet_give_the_same_rows(tmp_path):
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    files = [
        text(tmp_path / "a.jsonl", lines),
        text(tmp_path / "a.json", json.dumps(ROWS)),
        text(tmp_path / "a.csv", "q,n\r\na,1\r\nü\u2028,2\r\n"),
        parquet(tmp_path / "a.parquet", ROWS),
    ]
    assert [rows_of(file) for file in files] == [ROWS] * 4


def test_byte_order_marks_and_blank_lines_are_read_over(tmp_path):
    assert rows_of(text(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"q": 1}\r\n\r\n{"q": 2}\r\n')) == [{"q": 1}, {"q": 2}]
    assert rows_of(text(tmp_path / "a.csv", b"\xef\xbb\xbfq\nx\n")) == [{"q": "x"}]


def test_a_text_file_is_one_document(tmp_path):
    assert rows_of(text(tmp_path / "a.txt", "one\ntwo\n")) == [{"text": "one\ntwo\n", "file": "a.txt"}]


def test_cells_of_csv_stay_text(tmp_path):
    assert rows_of(text(tmp_path / "a.csv", 'id,x\n007,"a, b"\n')) == [{"id": "007", "x": "a, b"}]


def test_a_long_document_fits_into_a_cell_of_csv(tmp_path):
    """The csv module's own limit, 128 KiB, is less than a short book."""
    assert len(rows_of(text(tmp_path / "a.csv", f"x\n{'w' * 500_000}\n"))[0]["x"]) == 500_000


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv:1: two columns are named `q`"):
        rows_of(text(tmp_path / "a.csv", "q,r,q\n1,2,3\n"))


def test_a_glob_joins_files_in_sorted_order(tmp_path):
    for name in ("b", "a", "c"):
        text(tmp_path / f"part-{name}.jsonl", json.dumps({"q": name}))
    assert [row["q"] for row in rows_of(tmp_path / "part-*.jsonl")] == ["a", "b", "c"]


def test_a_glob_with_two_stars_looks_into_folders(tmp_path):
    text(tmp_path / "deep/er/a.txt", "x")
    text(tmp_path / "b.txt", "y")
    assert {row["text"] for row in rows_of(tmp_path / "**/*.txt")} == {"x", "y"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '{"q": ' + "9" * 5000 + "}", "cannot be read"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1"),
        ("a.jsonl", b'{"q": "\xff"}', "UTF-8"),
        ("a.csv", 'q\n"x\n', "a.csv:"),
        ("a.xlsx", "", "known file types"),
        ("*.jsonl", None, "no file matches"),
        ("nowhere.jsonl", None, "there is no file"),
    ],
)
def test_unreadable_files_are_told_with_their_place(tmp_path, name, content, words):
    if content is not None:
        text(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path / name)
    assert words in str(caught.value)
    assert all(problem.fix for problem in caught.value.problems)


def test_a_split_without_documents_is_refused():
    with pytest.raises(DataError, match="split `test` has no documents"):
        read_split(DataSpec(inline={"test": []}), "test", where="here")


def mirrored(mirror, **fields):
    return read_split(DataSpec(path="org/name", **fields), fields.get("split", "test"), where="here", mirror=mirror)


def test_the_mirror_is_read_in_the_order_jsonl_parquet_csv(tmp_path):
    folder = tmp_path / "org/name/default"
    found = []
    text(folder / "test.csv", "from\ncsv\n")
    found.append(mirrored(tmp_path))
    parquet(folder / "test.parquet", [{"from": "parquet"}])
    found.append(mirrored(tmp_path))
    text(folder / "test.jsonl", '{"from": "jsonl"}')
    found.append(mirrored(tmp_path))
    assert [rows[0]["from"] for rows in found] == ["csv", "parquet", "jsonl"]


def test_the_mirror_knows_subsets_and_splits(tmp_path):
    text(tmp_path / "org/name/main/train.jsonl", '{"x": 1}')
    assert mirrored(tmp_path, subset="main", split="train") == [{"x": 1}]


def test_a_hub_that_cannot_be_reached_fails_fast_with_the_way_around(tmp_path):
    """In a process of its own: the variable is read when the hub's package is imported."""
    task = text(
        tmp_path / "t.yaml", "name: t\ndata: {path: nobody/no-such-set}\nprompt: x\nreference: y\noutput: generate\n"
    )
    code = "import sys; from evalharness.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "tasks", "validate", str(task), "--data-root", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin"},
        check=False,
    )
    assert done.returncode == 2
    assert f"{task}:2: `nobody/no-such-set` split `test` cannot be read from the hub" in done.stderr
    assert "DIR/nobody/no-such-set/default/test.jsonl" in done.stderr
    assert "--data-root" in done.stderr
    assert "Traceback" not in done.stderr


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_content_hash_does_not_depend_on_the_order_of_columns(fields):
    assert content_hash(fields) == content_hash(dict(reversed(fields.items())))


def test_content_hash_is_the_same_for_ever():
    """Of the UTF-8 text {"a": 1, "b": "ü"}, by coreutils' sha256sum."""
    expected = "47d50a2a574bc5394f613e0e9636aab0bf5ae6637cc1c276207e9b56744611c0"
    assert content_hash({"b": "ü", "a": 1}) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": ["b"]}, {"a": "b"}),
        ({"a": "x "}, {"a": "x"}),
    ],
)
def test_different_content_has_different_hashes(one, other):
    assert content_hash(one) != content_hash(other)


def test_values_that_json_lacks_have_stable_hashes(tmp_path):
    rows = [
        {
            "date": dt.date(2024, 1, 5),
            "time": dt.datetime(2024, 1, 5, 1, 30, tzinfo=dt.UTC),
            "bytes": b"\xff\x00",
            "decimal": decimal.Decimal("1.50"),
            "nan": math.nan,
            "nested": {"list": [{"deep": "x"}, {"deep": None}]},
        }
    ]
    path = parquet(tmp_path / "a.parquet", rows)
    assert content_hash(rows_of(path)[0]) == content_hash(rows_of(path)[0])
    assert rows_of(path)[0]["nested"] == {"list": [{"deep": "x"}, {"deep": None}]}


def test_lone_surrogates_can_be_hashed_and_seeded_with():
    broken = Document("\ud800", {"q": "\ud800"}, content_hash({"q": "\ud800"}))
    assert len(data_hash([broken])) == 64
    assert derived_seed(0, "\ud800") != derived_seed(0, "\udfff")


def test_documents_are_numbered_where_the_task_gives_no_id(tmp_path):
    task = loaded(tmp_path)
    assert [document.id for document in make_documents(task, [{"q": "a"}, {"q": "a"}])] == ["0", "1"]


def test_a_template_gives_the_id(tmp_path):
    task = loaded(tmp_path, id="{{ subject }}/{{ n }}")
    rows = [{"subject": "art", "n": 1}, {"subject": "art", "n": 2}]
    assert [document.id for document in make_documents(task, rows)] == ["art/1", "art/2"]


def test_two_documents_of_one_id_are_refused_with_the_row(tmp_path):
    task = loaded(tmp_path, id="{{ n }}")
    with pytest.raises(DataError, match="two documents have the id `1` \\(the second is row 2\\)"):
        make_documents(task, [{"n": 1}, {"n": 2}, {"n": 1}])


@given(st.lists(st.text(max_size=3), unique=True, min_size=2, max_size=5))
def test_data_hash_depends_on_the_order_of_documents(ids):
    documents = [Document(name, {}, content_hash({})) for name in ids]
    assert data_hash(documents) != data_hash(documents[::-1])


def kept(rows, only):
    return read_split(DataSpec(inline={"test": rows}, only=only), "test", where="task.yaml:2")


LAWS = [{"n": 1, "category": "law"}, {"n": 2, "category": "physics"}, {"n": 3, "category": "law"}]


def test_only_keeps_the_rows_for_which_it_is_true():
    assert [row["n"] for row in kept(LAWS, "{{ category == 'law' }}")] == [1, 3]


def test_only_holds_for_the_shots_split_too(tmp_path):
    data = {"inline": {"test": LAWS, "train": LAWS}, "shots": "train", "only": "{{ category == 'law' }}"}
    task = loaded(tmp_path, data=data, prompt="{{ n }}", reference="x", shots={"count": 1})
    asked = prepare(task, RunSettings(), chat=False).asked
    assert [(item.prompt, item.shots[0].prompt) for item in asked] == [("1", "3"), ("3", "1")]


def test_only_that_keeps_nothing_is_an_error():
    with pytest.raises(DataError, match="keeps none of the 3 rows of split `test`"):
        kept(LAWS, "{{ category == 'history' }}")


def test_only_that_says_neither_true_nor_false_is_an_error():
    with pytest.raises(DataError, match="gives 'law' for row 0, not true or false"):
        kept(LAWS, "{{ category }}")


def test_only_that_reads_no_column_names_the_nearest():
    with pytest.raises(DataError, match="no column `categori`"):
        kept(LAWS, "{{ categori == 'law' }}")


def test_a_task_without_only_and_ending_has_the_fingerprint_that_it_had(tmp_path):
    """Computed before the keys `only`, `synthetic` and `ending` existed."""
    assert loaded(tmp_path).spec.fingerprint() == "47e68e44a465578c0abd19c28fa219556a65270a98e7909392c0dbcbef210c10"


TEST_SET = """
import sys
from pathlib import Path
from evalharness.errors import DataError
from evalharness.run.preparation import RunSettings, prepare
from evalharness.task.documents import read_split
from evalharness.task.spec import DataSpec
try:
    data = DataSpec(path=sys.argv[1], subset=sys.argv[2])
    mirror = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    print(read_split(data, "test", where="task.yaml:2", mirror=mirror))
except DataError as fault:
    print(fault)
"""


def translation_rows(tmp_path, *arguments):
    """Run in a process of its own: sacrebleu reads the place of its copies when it is imported."""
    import os

    environment = {**os.environ, "SACREBLEU": str(tmp_path / "sacrebleu")}
    command = [sys.executable, "-c", TEST_SET, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_translation_test_sets_are_read_as_sacrebleu_keeps_them(tmp_path):
    folder = tmp_path / "sacrebleu" / "wmt17"
    lines = {
        "src": "One.\nTwo.\n",
        "ref": "Eins.\nZwei.\n",
        "docid": "a\nb\n",
        "genre": "n\nn\n",
        "origlang": "en\nde\n",
    }
    for field, content in lines.items():
        text(folder / f"wmt17.en-de.{field}", content)
    expected = [
        {
            "source": "One.",
            "reference": "Eins.",
            "references": ["Eins."],
            "document_id": "a",
            "original_language": "en",
        },
        {
            "source": "Two.",
            "reference": "Zwei.",
            "references": ["Zwei."],
            "document_id": "b",
            "original_language": "de",
        },
    ]
    assert translation_rows(tmp_path, "sacrebleu/wmt17", "en-de") == str(expected)


def test_a_mirror_comes_before_sacrebleu(tmp_path):
    text(tmp_path / "mirror/sacrebleu/wmt17/en-de/test.jsonl", '{"source": "One."}')
    assert translation_rows(tmp_path, "sacrebleu/wmt17", "en-de", str(tmp_path / "mirror")) == "[{'source': 'One.'}]"


@pytest.mark.parametrize(
    ("name", "pair", "message"),
    [
        ("sacrebleu/wmt71", "en-de", "sacrebleu has no test set `wmt71`"),
        ("sacrebleu/wmt17", "en-dd", "`wmt17` has no pair `en-dd`"),
    ],
)
def test_test_sets_that_sacrebleu_lacks_are_named(tmp_path, name, pair, message):
    assert message in translation_rows(tmp_path, name, pair)
