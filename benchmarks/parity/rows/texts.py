"""The data: answers with their references, read, or made in a fixed way where there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evalharness.request import Sample
from rows.row import sample


class Texts(NamedTuple):
    """Answers with their references: one tuple of references an answer."""

    name: str
    answers: list[str]
    references: list[tuple[str, ...]]

    def samples(self) -> list[Sample]:
        """Return one sample an answer."""
        return [sample([answer], refs) for answer, refs in zip(self.answers, self.references, strict=True)]

    def first(self, n: int) -> Texts:
        """Return the first n answers."""
        return Texts(f"{self.name}, first {n}", self.answers[:n], self.references[:n])

    @property
    def transposed(self) -> list[list[str | None]]:
        """One list a reference set, None where an answer has fewer."""
        most = max(map(len, self.references))
        return [[refs[i] if i < len(refs) else None for refs in self.references] for i in range(most)]

    @property
    def pairs(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every answer with its references."""
        return zip(self.answers, self.references, strict=True)


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_texts(data: Path) -> dict[str, Texts]:
    """Read the data, and make answers where there are none."""
    wmt = lines(data / "wmt17_ende/first1000_4systems.jsonl")
    systems = sorted(key for key in wmt[0] if key.startswith("sys_"))
    found = {
        f"wmt {i}": Texts(f"WMT17 en-de {name[4:]}", [row[name] for row in wmt], [(row["reference"],) for row in wmt])
        for i, name in enumerate(systems)
    }
    several = [(row["reference"], *([row[systems[1]]] if i % 2 else [])) for i, row in enumerate(wmt)]
    found["several"] = Texts("WMT17 en-de, 1 or 2 references", [row[systems[0]] for row in wmt], several)
    for key, file in (("java-cs", "java_to_csharp_test"), ("cs-java", "csharp_to_java_test")):
        rows = lines(data / f"code_translation/{file}.jsonl")
        found[key] = Texts(
            f"CodeXGLUE {key}", [row["prediction"] for row in rows], [(row["reference"],) for row in rows]
        )
    test, train = lines(data / "gsm8k/test.jsonl"), lines(data / "gsm8k/train_slice.jsonl")
    found["gsm8k"] = Texts(
        "GSM8K solutions of other problems",
        [train[i % len(train)]["solution"] for i in range(len(test))],
        [(row["solution"],) for row in test],
    )
    found["gsm8k numbers"] = Texts(
        "GSM8K final numbers of other problems",
        [train[i % len(train)]["final_answer"] for i in range(len(test))],
        [(row["final_answer"],) for row in test],
    )
    chinese = [row["src"].strip() for row in lines(data / "mt/zh_en_test.jsonl")]
    shortened = ["".join(c for i, c in enumerate(line) if i % 7 != 6) for line in chinese]
    found["zh"] = Texts("Chinese, every 7th character removed", shortened, [(line,) for line in chinese])
    found["edge"] = Texts(
        "empty, one-word and identical texts",
        ["", "word", "word", "the same text here", "", "a", "two words", "  "],
        [("something",), ("word",), ("other",), ("the same text here",), ("",), ("",), ("words two", "two"), ("a",)],
    )
    found["identical"] = Texts(
        "identical texts", *[[f(row["reference"]) for row in wmt[:200]] for f in (str, lambda x: (x,))]
    )
    return found
