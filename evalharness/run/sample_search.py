"""Samples of one task found by their outlines or their texts, and read by their positions: the texts of others stay on disk."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from evalharness.run.samples import COLUMNS, damaged, decode_sample, open_parquet

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BATCH_ROWS = 1024
#: As `encode_response` writes them.
_TRUNCATED = r'"truncated_tokens":[1-9]'
_REACHED_LIMIT = r'"stopped_by":"length"'


@dataclass(frozen=True, slots=True, eq=False)
class SampleOutlines:
    """What is known of a task's n samples without their texts: (n,) arrays in stored order.

    document_ids: Python strings. has_failed: could not be scored. is_truncated: some prompt was cut to fit the context.
    reached_limit: some answer ended because it had as many tokens as were allowed. n_prompt_characters,
    n_answer_characters: lengths, over all answers together.
    """

    document_ids: npt.NDArray[np.object_]
    has_failed: npt.NDArray[np.bool_]
    is_truncated: npt.NDArray[np.bool_]
    reached_limit: npt.NDArray[np.bool_]
    n_prompt_characters: npt.NDArray[np.int64]
    n_answer_characters: npt.NDArray[np.int64]


class SampleSearch:
    """A `samples.parquet` that is searched a task at a time, column by column.

    file: must stay open while it is searched. where: named in errors. Raises StoreError when the file is damaged.
    """

    def __init__(self, file: BinaryIO, where: object) -> None:
        self._where = where
        self._parquet, self._tasks = open_parquet(file, where)

    def outlines(self, task: str) -> SampleOutlines:
        """Return the outlines of a task's samples, none if the file has no such task; raises StoreError when it is damaged."""
        import numpy as np
        import pyarrow.compute as pc

        parts: list[tuple[Any, ...]] = []
        for batch in self._batches(task, ("document_id", "error", "responses", "prompt", "answers")):
            parts.append(
                (
                    batch["document_id"].to_numpy(zero_copy_only=False),
                    _bools(batch["error"].is_valid()),
                    _bools(pc.match_substring_regex(batch["responses"], _TRUNCATED)),
                    _bools(pc.match_substring(batch["responses"], _REACHED_LIMIT)),
                    pc.utf8_length(batch["prompt"]).to_numpy(zero_copy_only=False),
                    _lengths(batch["answers"], len(batch)),
                )
            )
        kinds: Sequence[Any] = (object, bool, bool, bool, np.int64, np.int64)
        if not parts:
            return SampleOutlines(*(np.empty(0, dtype=kind) for kind in kinds))
        columns = zip(*parts, strict=True)
        found = (np.concatenate(arrays).astype(kind) for arrays, kind in zip(columns, kinds, strict=True))
        return SampleOutlines(*found)

    def containing(self, task: str, text: str) -> npt.NDArray[np.bool_]:
        """Say of each sample, in stored order, whether anything asked, answered or judged contains a text; case is ignored."""
        import numpy as np

        masks = [_contain(batch, text) for batch in self._batches(task, _TEXT_COLUMNS)]
        return np.concatenate(masks) if masks else np.empty(0, dtype=bool)

    def at(self, task: str, positions: Sequence[int], columns: Collection[str] | None = None) -> list[dict[str, Any]]:
        """Return the samples at some positions, in the order of these, as `read_samples` describes them.

        columns: the keys wanted, None for all. Raises IndexError for a position that the task has not.
        """
        import numpy as np

        chosen = [name for name in COLUMNS if columns is None or name in columns]
        names = [*chosen, *(["is_chat"] if "prompt" in chosen and "is_chat" not in chosen else [])]
        wanted, found, begin = np.unique(np.asarray(positions, dtype=np.int64)), {}, 0
        for batch in self._batches(task, names) if len(wanted) else ():
            inside = wanted[(wanted >= begin) & (wanted < begin + len(batch))]
            for position, row in zip(inside, batch.take(inside - begin).to_pylist(), strict=True):
                found[int(position)] = decode_sample(row, columns)
            begin += len(batch)
            if begin > wanted[-1]:
                break
        missing = [position for position in positions if position not in found]
        if missing:
            raise IndexError(f"{task} has no sample at position {missing[0]}")
        return [found[position] for position in positions]

    def _batches(self, task: str, columns: Sequence[str]) -> Iterator[Any]:
        import pyarrow as pa

        groups = [index for index, name in enumerate(self._tasks) if name == task]
        try:
            if groups:
                yield from self._parquet.iter_batches(_BATCH_ROWS, row_groups=groups, columns=list(columns))
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise damaged(self._where, error) from error


_PLAIN = ("document_id", "error")
_LISTS = ("references", "choices", "answers")
_JSON = ("responses", "judgements")
_TEXT_COLUMNS = (*_PLAIN, *_LISTS, *_JSON, "prompt", "is_chat")


def _contain(batch: Any, text: str) -> npt.NDArray[np.bool_]:
    """Look into columns of plain text at once; into JSON only where the text might stand, and past its keys."""
    import numpy as np
    import pyarrow.compute as pc

    def contains(column: Any, needle: str) -> npt.NDArray[np.bool_]:
        return _bools(pc.match_substring(column, needle, ignore_case=True))

    is_chat = _bools(batch["is_chat"])
    found = contains(batch["prompt"], text) & ~is_chat
    for name in _PLAIN:
        found |= contains(batch[name], text)
    for name in _LISTS:
        parents = pc.list_parent_indices(batch[name]).to_numpy()
        found[parents[contains(pc.list_flatten(batch[name]), text)]] = True
    # JSON is stored in ASCII: other letters stand there as escapes, whose letters a search without case would not find
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    needle = json.dumps(text)[1:-1] if text.isascii() else ""
    stored = [name for name in _JSON if name in batch.schema.names]  # older files lack judgements
    for name, where in (*((name, np.ones(len(batch), dtype=bool)) for name in stored), ("prompt", is_chat)):
        for position in np.flatnonzero(where & ~found & contains(batch[name], needle)):
            found[position] = any(map(pattern.search, _texts(batch[name][position].as_py())))
    return found


def _texts(encoded: str) -> list[str]:
    """Return the texts of strangers in a JSON value: those of turns and responses, not keys, kinds or document ids."""
    found: list[str] = []
    inner = [json.loads(encoded)]
    while inner:
        value = inner.pop()
        if isinstance(value, list):
            inner += value
        elif isinstance(value, dict):
            found += [value[name] for name in ("text", "error") if isinstance(value.get(name), str)]
            inner += [each for each in value.values() if isinstance(each, list | dict)]
    return found


def _bools(mask: Any) -> npt.NDArray[np.bool_]:
    """Return (n,) truth values; what is null is False."""
    found: npt.NDArray[np.bool_] = mask.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    return found


def _lengths(lists: Any, n: int) -> npt.NDArray[np.int64]:
    """Return (n,) characters in n lists of texts."""
    import numpy as np
    import pyarrow.compute as pc

    characters = pc.utf8_length(pc.list_flatten(lists)).fill_null(0).to_numpy(zero_copy_only=False)
    return np.bincount(pc.list_parent_indices(lists).to_numpy(), weights=characters, minlength=n).astype(np.int64)
