"""Translation test sets as sacrebleu fetches and checks them, so that BLEU is of the same lines as in the literature.

A task reads them under the hub-like name ``sacrebleu/<set>``, such as ``sacrebleu/wmt20`` with the subset ``en-de``; a mirror
comes first, as for hub data. sacrebleu keeps its copies where its own environment variable SACREBLEU says.
"""

from __future__ import annotations

from typing import Any

from evalharness.errors import DataError, suggest

TEST_SETS_PREFIX = "sacrebleu/"
#: sacrebleu's fields that are kept, and the columns that they become.
_COLUMNS = {"docid": "document_id", "origlang": "original_language"}


def read_test_set(name: str, pair: str, *, where: str, otherwise: str) -> list[dict[str, Any]]:
    """Return the lines of a test set as rows of source, reference (the first), references, and what is known of documents.

    name: of sacrebleu, such as ``wmt20``. pair: ``<source language>-<target language>``. otherwise: what can be done where
    there is no internet, for errors. Source of the format: `sacrebleu.dataset` of sacrebleu 2.6.0.

    Raises DataError: no such set or pair, no connection, or a file whose checksum is not the published one.
    """
    from sacrebleu.dataset import DATASETS

    if name not in DATASETS:
        raise DataError.at(where, f"sacrebleu has no test set `{name}`", suggest(name, DATASETS, noun="test sets"))
    if pair not in DATASETS[name].langpairs:
        fix = suggest(pair, DATASETS[name].langpairs, noun="pairs (`subset`)")
        raise DataError.at(where, f"sacrebleu's test set `{name}` has no pair `{pair}`", fix)
    try:
        files: list[str] = DATASETS[name].get_files(pair)  # type: ignore[no-untyped-call]
        fields = DATASETS[name].fieldnames(pair)
        columns = [_lines(file) for file in files]
    except (OSError, SystemExit) as fault:  # sacrebleu leaves the process where a checksum is wrong
        reason = str(getattr(fault, "reason", fault)) or type(fault).__name__
        raise DataError.at(where, f"sacrebleu cannot fetch `{name}` {pair}: {reason}", otherwise) from None
    return [_row(dict(zip(fields, line, strict=True))) for line in zip(*columns, strict=True)]


def _lines(file: str) -> list[str]:
    with open(file, encoding="utf-8") as stream:  # noqa: PTH123  # sacrebleu's own path, a text
        return [line.rstrip("\n") for line in stream]


def _row(fields: dict[str, str]) -> dict[str, Any]:
    references = [text for field, text in fields.items() if field.startswith("ref")]
    known = {column: fields[field] for field, column in _COLUMNS.items() if field in fields}
    return {"source": fields["src"], "reference": references[0], "references": references, **known}
