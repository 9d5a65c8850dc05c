"""The far side of COMET: run as a program by the python of the environment that holds unbabel-comet, never imported here.

``python -I comet_worker.py REQUEST``, where REQUEST is a file of JSON lines: first a header with `model` (a hub id or the path
of a checkpoint), `part` (which of the model's scores), `device` ("cpu", or "auto"), `batch_size`, `has_source` and
`has_reference`; then one object a segment with "mt", and "src" and "ref" where the header says so.

It answers in JSON lines, each an object with one of
- ``stage``: "starting", "loading" or "scoring", with facts that are known from then on as further keys;
- ``missing``: "src" or "ref", which the model reads and the request does not give; nothing follows;
- ``no_part``: the scores that the model gives, where the one asked for is not among them; nothing follows;
- ``done``: how many segments more the model has begun;
- ``scores``: one number a segment, null where it is not finite; nothing follows.
Whatever else goes wrong ends it with a traceback on stderr. It ends as well when its stdin closes: its caller is gone.

This file must keep to Python 3.8, and import nothing but the standard library, torch and comet.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import threading
from typing import IO, Any

CHUNK_BYTES = 1 << 20


def main() -> None:
    """Answer the request on what was stdout; what libraries print there goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123  # as short as can be
        header, *segments = (json.loads(line) for line in file)
    _tell(answers, stage="starting", unbabel_comet=_version("unbabel-comet"), torch=_version("torch"))
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = (
        "1"  # a checkpoint is a pickle: run no code of it, whatever the versions
    )

    import comet

    is_file = os.path.isfile(header["model"])  # noqa: PTH113
    path = header["model"] if is_file else comet.download_model(header["model"])
    _tell(answers, stage="loading", checkpoint=_sha256(path)[:12])
    model = comet.load_from_checkpoint(path)
    read = _segments_read(model)
    _tell(answers, stage="scoring", reads="+".join(read))
    given = {"mt": True, "src": header["has_source"], "ref": header["has_reference"]}
    is_flexible = "input_segments" in model.hparams  # such a model does with either of source and reference
    missing = [name for name in read if not given[name]]
    if missing and (not is_flexible or len(missing) == len(read) - 1):
        _tell(answers, missing=missing[0])
        return
    names = [name for name in read if given[name]]
    _score(answers, model, header, [{name: segment[name] for name in names} for segment in segments])


def _score(answers: IO[str], model: Any, header: dict[str, Any], segments: list[dict[str, str]]) -> None:
    """Score segments with what the model reads of them; equal ones once."""
    import torch

    keys = [tuple(segment.values()) for segment in segments]
    first: dict[tuple[str, ...], int] = {}
    for key in keys:
        first.setdefault(key, len(first))
    distinct = [dict(zip(segments[0], key)) for key in first]  # noqa: B905  # `strict` came with 3.10
    if not distinct:
        _tell(answers, scores=[])
        return
    begin = model.prepare_for_inference

    def begin_batch(batch: Any) -> Any:
        _tell(answers, done=len(batch))
        return begin(batch)

    model.prepare_for_inference = begin_batch
    prediction = model.predict(
        distinct,
        batch_size=header["batch_size"],
        gpus=1 if header["device"] != "cpu" and torch.cuda.is_available() else 0,
        num_workers=0,  # no further processes: batches are small, and progress is told here
        progress_bar=False,
    )
    scores = {"score": prediction["scores"], **_others(prediction)}
    if header["part"] not in scores:
        _tell(answers, no_part=sorted(scores))
        return
    found = scores[header["part"]]
    _tell(answers, scores=[_finite(found[first[key]]) for key in keys])


def _segments_read(model: Any) -> list[str]:
    """Name what a model reads of a segment, in COMET's words: mt, src, ref."""
    if "input_segments" in model.hparams:
        return list(model.hparams["input_segments"])
    return ["mt", "src", "ref"] if model.requires_references() else ["mt", "src"]


def _others(prediction: Any) -> dict[str, list[float]]:
    """Return what a model gives beside its score that is a number a segment too."""
    metadata = prediction.get("metadata", {})
    return {name: list(metadata[name]) for name in metadata if name.endswith("_scores")}


def _finite(score: float) -> Any:
    return float(score) if math.isfinite(score) else None


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _tell(answers: IO[str], **message: Any) -> None:
    answers.write(json.dumps(message, allow_nan=False) + "\n")
    answers.flush()


def _end_with_caller() -> None:
    while os.read(0, CHUNK_BYTES):  # not sys.stdin, whose lock a thread may not hold while Python shuts down
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
