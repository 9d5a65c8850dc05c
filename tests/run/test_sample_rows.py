"""The scores of a committed run as arrays: the same as its samples, and never wrong silently."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_cases import samples

from evalharness.errors import StoreError
from evalharness.request import Document, Sample
from evalharness.run.record import SampleRecord
from evalharness.run.samples import RowsFile, read_samples, write_samples


def written(path, records):
    write_samples(path / "samples.parquet", records)
    return path / "samples.parquet"


def test_the_arrays_hold_what_the_samples_hold(tmp_path):
    path = written(tmp_path, samples())
    with path.open("rb") as file:
        found = RowsFile(file, path).read("arithmetic", contents=True)
    with path.open("rb") as file:
        expected = list(read_samples(file, path, "arithmetic"))
    assert found.document_ids.tolist() == [sample["document_id"] for sample in expected]
    assert found.input_hashes.tolist() == [sample["input_hash"] for sample in expected]
    assert found.clusters.tolist() == [sample["cluster"] for sample in expected]
    assert found.content_hashes.tolist() == [sample["document"]["content_hash"] for sample in expected]
    assert found.rows["exact_match"].tolist() == [sample["scores"]["exact_match"] for sample in expected]
    assert found.rows["exact_match"].dtype == np.float64


def test_failed_documents_stand_apart(tmp_path):
    path = written(tmp_path, samples())
    with path.open("rb") as file:
        found = RowsFile(file, path).read("facts")
    assert (found.document_ids.tolist(), found.failed_ids) == (["é/1"], ("2",))
    assert found.rows["accuracy"].shape == (1, 2)
    assert found.content_hashes is None


def record(i, rows, error=None):
    sample = Sample("t", Document(str(i), {}, "c"), "", (), ((),), f"hash {i}", error=error)
    return SampleRecord(sample, rows)


def test_metrics_of_different_widths_are_told_apart(tmp_path):
    path = written(tmp_path, [record(i, {"wide": (i, 1, 2, 3), "a": (10 + i, 1)}) for i in range(5)])
    with path.open("rb") as file:
        rows = RowsFile(file, path).read("t").rows
    assert rows["wide"].tolist() == [[i, 1, 2, 3] for i in range(5)]
    assert rows["a"].tolist() == [[10 + i, 1] for i in range(5)]


def test_a_task_on_which_everything_failed_has_no_rows(tmp_path):
    path = written(tmp_path, [record(i, {}, error="too long") for i in range(3)])
    with path.open("rb") as file:
        found = RowsFile(file, path).read("t")
    assert (len(found.document_ids), found.failed_ids, found.rows) == (0, ("0", "1", "2"), {})


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([record(0, {"a": (1, 1)}), record(1, {"b": (1, 1)})], "different metrics"),
        ([record(0, {"a": (1, 1)}), record(1, {"a": (1, 1), "b": (1, 1)})], "different metrics"),
        ([record(0, {"a": (1, 1)}), record(1, {"a": (1, 1, 1)})], "different lengths"),
    ],
)
def test_documents_with_other_statistics_are_an_error(tmp_path, records, why):
    path = written(tmp_path, records)
    with path.open("rb") as file, pytest.raises(StoreError, match=why):
        RowsFile(file, path).read("t")


def test_an_unknown_task_is_an_error(tmp_path):
    path = written(tmp_path, samples())
    with path.open("rb") as file, pytest.raises(StoreError, match="cannot be read"):
        RowsFile(file, path).read("other")


def test_a_file_that_is_no_parquet_is_an_error(tmp_path):
    path = tmp_path / "samples.parquet"
    path.write_bytes(b"not parquet")
    with path.open("rb") as file, pytest.raises(StoreError, match="cannot be read"):
        RowsFile(file, path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = written(tmp_path, [record(i, {"a": (i, 1)}) for i in range(500)])
    data = bytearray(path.read_bytes())
    columns = pq.read_metadata(path).row_group(0)
    (values,) = [
        columns.column(i)
        for i in range(columns.num_columns)
        if columns.column(i).path_in_schema.endswith("element")
        and columns.column(i).path_in_schema.startswith("scores")
    ]
    data[values.data_page_offset + values.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with path.open("rb") as file, pytest.raises(StoreError, match="cannot be read"):
        RowsFile(file, path).read("t")
