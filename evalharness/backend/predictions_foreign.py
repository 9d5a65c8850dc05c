"""Predictions in the files of other harnesses: lm-evaluation-harness, lighteval and Inspect.

Read as these versions write them: lm-evaluation-harness 0.4.13 (``samples_<task>_<time>.jsonl``, from ``--log_samples``),
lighteval 0.13.0 (``details_<task>_<time>.parquet``, from ``--save-details``), Inspect (log version 2, ``.json`` and ``.eval``).
What a model said is taken before the other harness filtered it; its scores are not looked at.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalharness.backend.predictions import MAX_PROBLEMS, Found, parsed_line
from evalharness.errors import Problem

#: The method of a zip entry that Python's own reader learns only in 3.14; the number is that of PKWARE's APPNOTE.TXT, 4.4.5.
_ZIP_ZSTANDARD = 93
#: A zip entry's local header (APPNOTE.TXT, 4.3.7): its size, and where the lengths of name and extra field stand in it.
_LOCAL_HEADER, _LENGTHS_AT = 30, 26
#: What reading JSON or a table of another shape than expected can raise.
_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
#: What reading a damaged or foreign zip archive can raise beside that.
_BROKEN = (OSError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error)


def read_lm_eval(path: Path, content: bytes, problems: list[Problem]) -> list[Found]:
    """Read the samples of lm-evaluation-harness: ``doc_id`` is the row in the split, ``doc`` the row, ``resps`` unfiltered.

    A task with several filters has a line for each; all hold the same responses, and the first filter's are taken.
    """
    found: list[Found] = []
    filters: dict[int, str] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip() or len(problems) >= MAX_PROBLEMS:
            continue
        where = f"{path}:{number}"
        data = parsed_line(line, where, problems)
        if data is None:
            continue
        try:
            row, name = int(data["doc_id"]), str(data.get("filter", "none"))
            if filters.setdefault(row, name) == name:
                found += _lm_eval_sample(data, row, where)
        except _ODD as fault:
            what = f"not a sample of lm-evaluation-harness: {type(fault).__name__}: {fault}"
            problems.append(Problem(where, what, "give a samples_*.jsonl file as `--log_samples` writes it"))
    return found


def _lm_eval_sample(data: Mapping[str, Any], row: int, where: str) -> Iterator[Found]:
    """Yield the answers of one line: ``[[text, ...]]``, ``[[["-1.5", "True"]], ...]`` a choice, or ``[["-1.5"]]`` a text."""
    columns, responses = dict(data["doc"]), data["resps"]
    asked = [data["arguments"][f"gen_args_{i}"] for i in range(len(responses))]
    if len(responses) == 1 and isinstance(asked[0].get("arg_1"), dict):
        for repeat, text in enumerate(responses[0]):
            given = {"error": "the model gave no text"} if text is None else {"text": str(text)}
            yield Found(where, {**given, "repeat": repeat}, row=row, columns=columns)
        return
    first = [group[0] for group in responses]
    if all(isinstance(response, list) for response in first):
        answer = _scores([response[0] for response in first])
        answer["is_greedy"] = [str(response[1]) == "True" for response in first]
        continuations = tuple(str(each["arg_1"]) for each in asked)
    else:
        answer = _scores(first)
        continuations = tuple(str(each["arg_0"]) for each in asked)
    if "error" in answer:
        answer = {"error": answer["error"]}
    yield Found(where, answer, row=row, columns=columns, continuations=continuations)


def _scores(values: Iterable[Any]) -> dict[str, Any]:
    """Return the log-probabilities as an answer; one that is not finite fails the document, and never becomes a number."""
    logprobs = [float(value) for value in values]
    odd = [number for number in logprobs if not math.isfinite(number)]
    return {"error": f"a log-probability is {odd[0]}"} if odd else {"logprobs": logprobs}


def read_lighteval(path: Path, content: bytes, problems: list[Problem]) -> list[Found]:
    """Read the details of lighteval: ``doc.id`` is the row in the split; the order of the file is shuffled."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fix = "give a details_*.parquet file as lighteval 0.13 writes it, or convert it to plain predictions"
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        lacking = {"doc", "model_response"} - set(file.schema_arrow.names)
        if lacking:
            have = ", ".join(file.schema_arrow.names)
            problems.append(Problem(str(path), f"no columns {' and '.join(sorted(lacking))}; its columns: {have}", fix))
            return []
        rows = file.read(columns=["doc", "model_response"]).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as fault:
        problems.append(Problem(str(path), f"not a readable Parquet file: {fault}", fix))
        return []
    found: list[Found] = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}:{number}"
        try:
            found += _lighteval_sample(row["doc"], row["model_response"], where)
        except _ODD as fault:
            what = f"not a detail of lighteval: {type(fault).__name__}: {fault}"
            problems.append(Problem(where, what, fix))
        if len(problems) >= MAX_PROBLEMS:
            break
    return found


def _lighteval_sample(doc: Mapping[str, Any], response: Mapping[str, Any], where: str) -> Iterator[Found]:
    index = int(doc["id"])
    gold = doc["gold_index"]
    golds = [doc["choices"][i] for i in (gold if isinstance(gold, list) else [gold])] if doc["choices"] else []
    target = str(golds[0]) if len(golds) == 1 else None
    if not response["text"]:
        # A generation's own log-probabilities, one a token, are no scores of choices: they come with a text.
        answer = _scores([*response["logprobs"], *(response.get("unconditioned_logprobs") or ())])
        logprobs = answer.get("logprobs", ())
        tokens = [len(ids) for ids in response.get("output_tokens") or ()]
        greedy = list(response.get("argmax_logits_eq_gold") or ())
        if logprobs and len(tokens) == len(logprobs):
            answer["n_tokens"] = tokens
        if logprobs and len(greedy) == len(logprobs):
            answer["is_greedy"] = greedy
        choices = tuple(map(str, doc["choices"]))
        yield Found(where, answer, row=index, continuations=choices, target=target)
        return
    for repeat, text in enumerate(response["text"]):
        yield Found(where, {"text": str(text), "repeat": repeat}, row=index, target=target)


def read_inspect(path: Path, content: bytes, problems: list[Problem]) -> list[Found]:
    """Read the samples of an Inspect log, a JSON file or the zip archive ``.eval``; an epoch is a repeat.

    Samples without ids of their own are numbered from 1 by Inspect, after any shuffling. So numbers say which row only
    where they follow one another and nothing was shuffled; numbers that cannot be counts are ids of the data.
    """
    fix = "give a log as `inspect eval` writes it: .eval or .json"
    try:
        header, samples = _archive(content) if content.startswith(b"PK") else _whole(content)
        dataset = header["eval"].get("dataset") or {}
        ids = list(dataset.get("sample_ids") or [each["id"] for each in samples])
        counted = all(isinstance(each, int) and 1 <= each <= dataset.get("samples", len(ids)) for each in ids)
        follow = counted and ids == list(range(ids[0], ids[0] + len(ids)))
        in_order = follow and not dataset.get("shuffled")
    except (*_ODD, *_BROKEN) as fault:
        problems.append(Problem(str(path), f"not a log of Inspect: {type(fault).__name__}: {fault}", fix))
        return []
    found: list[Found] = []
    for number, sample in enumerate(samples, start=1):
        where = f"{path}: sample {number}"
        try:
            found.append(_inspect_sample(sample, where, counted=counted, in_order=in_order))
        except _ODD as fault:
            what = f"not a sample of Inspect: {type(fault).__name__}: {fault}"
            problems.append(Problem(where, what, fix))
        if len(problems) >= MAX_PROBLEMS:
            break
    return found


def _whole(content: bytes) -> tuple[Mapping[str, Any], list[Any]]:
    data = json.loads(content)
    return data, list(data["samples"] or ())


def _archive(content: bytes) -> tuple[Mapping[str, Any], list[Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [entry for entry in archive.infolist() if entry.filename.startswith("samples/")]
        if not names or "header.json" not in archive.namelist():
            raise ValueError("no header.json and samples: the evaluation was not finished, or this is another archive")
        samples = [json.loads(_entry(archive, content, entry)) for entry in names]
        return json.loads(_entry(archive, content, archive.getinfo("header.json"))), samples


def _entry(archive: zipfile.ZipFile, content: bytes, entry: zipfile.ZipInfo) -> bytes:
    if entry.compress_type != _ZIP_ZSTANDARD:
        return archive.read(entry)
    import pyarrow as pa

    lengths = struct.unpack_from("<HH", content, entry.header_offset + _LENGTHS_AT)
    start = entry.header_offset + _LOCAL_HEADER + sum(lengths)
    packed = content[start : start + entry.compress_size]
    try:
        unpacked = pa.decompress(packed, decompressed_size=entry.file_size, codec="zstd", asbytes=True)
    except pa.ArrowException as fault:
        raise ValueError(f"{entry.filename} is damaged: {fault}") from None
    return bytes(unpacked)


def _inspect_sample(sample: Mapping[str, Any], where: str, *, counted: bool, in_order: bool) -> Found:
    identity, epoch = sample["id"], int(sample.get("epoch") or 1)
    target = sample.get("target")
    output = sample["output"]
    fault = sample.get("error")
    answer: dict[str, Any] = {"repeat": epoch - 1}
    if fault and not output.get("choices"):
        answer["error"] = str(fault.get("message", fault) if isinstance(fault, dict) else fault)
    else:
        answer["text"] = str(output["completion"])
    return Found(
        where,
        answer,
        document_id=str(identity),
        row=identity - 1 if counted and in_order else None,
        is_counted=counted,
        target=target if isinstance(target, str) else None,
    )
