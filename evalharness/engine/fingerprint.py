"""Fingerprints of checkpoints: which weights, which tokenizer, which chat template, without loading the weights."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MIB = 1 << 20
#: A safetensors header longer than this is refused by the format's own readers (100 MB).
_LONGEST_HEADER_BYTES = 100_000_000

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tekken.json",
)

_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """What the weight files say of themselves: their fingerprint, and count and type of the parameters if they tell.

    fingerprint: hex sha256 over names, sizes, safetensors headers, and the first and last MiB of each file. It tells two
    checkpoints apart without reading all of them; a change in the middle of a file that leaves both ends as they are goes
    unnoticed, which training steps never do.
    """

    fingerprint: str
    n_parameters: int | None
    dtype: str | None


def weight_files(folder: Path, *, allow_pickle: bool) -> list[Path]:
    """List the weight files of a checkpoint folder in order of name; pickled ones only where they are allowed."""
    found = sorted(folder.glob("*.safetensors"))
    if found or not allow_pickle:
        return found
    return sorted([*folder.glob("pytorch_model*.bin"), *folder.glob("adapter_model*.bin")])


def weight_facts(files: Sequence[Path]) -> WeightFacts:
    """Read headers and ends of the weight files."""
    digest = hashlib.sha256()
    n_parameters = 0
    types: Counter[str] = Counter()
    headers_known = True
    for file in files:
        size = file.stat().st_size
        digest.update(json.dumps([file.name, size]).encode())
        header = _header(file) if file.suffix == ".safetensors" else None
        if header is None:
            headers_known = False
        else:
            digest.update(json.dumps(header, sort_keys=True).encode())
            for name, entry in header.items():
                if name != "__metadata__":
                    count = math.prod(entry["shape"])
                    n_parameters += count
                    types[entry["dtype"]] += count
        with file.open("rb") as handle:
            digest.update(handle.read(_MIB))
            handle.seek(max(0, size - _MIB))
            digest.update(handle.read(_MIB))
    common = types.most_common(1)[0][0] if types else None
    return WeightFacts(
        digest.hexdigest(),
        n_parameters if headers_known else None,
        _DTYPE_NAMES.get(common, common) if common else None,
    )


def tokenizer_fingerprint(tokenizer: Any, folder: Path | None) -> str:
    """Return the hex sha256 of tokenizer.json or of the vocabulary files; of the vocabulary itself where none is found."""
    digest = hashlib.sha256()
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()] if folder else []
    if files and files[0].name == "tokenizer.json":
        files = files[:1]
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    if not files:
        digest.update(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    return digest.hexdigest()


def text_fingerprint(text: str) -> str:
    """Return the hex sha256 of a text, such as a chat template."""
    return hashlib.sha256(text.encode()).hexdigest()


def _header(file: Path) -> dict[str, Any] | None:
    """Read a safetensors header: 8 bytes of little-endian length, then JSON; None where the file is not of that form."""
    with file.open("rb") as handle:
        start = handle.read(8)
        if len(start) < 8:
            return None
        (length,) = struct.unpack("<Q", start)
        if length > _LONGEST_HEADER_BYTES:
            return None
        try:
            header = json.loads(handle.read(length))
        except ValueError:
            return None
    return header if isinstance(header, dict) else None
