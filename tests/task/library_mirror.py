"""A mirror of hub data made of the benchmark files that EVALHARNESS_TEST_DATA names, with the hub's paths and columns."""

from __future__ import annotations

import json
import os
from pathlib import Path

DATA = Path(os.environ.get("EVALHARNESS_TEST_DATA", "no-such-folder"))


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def write(mirror: Path, place: str, content: list[dict]) -> None:
    path = mirror / f"{place}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")


def make_mirror(mirror: Path, *, gold: str = "reference") -> Path:
    """Write the mirror. gold: the column that holds CodeXGLUE's correct translation, ``reference`` (data/test) or ``gold``."""
    problems = [{key: row[key] for key in ("question", "answer")} for row in rows("gsm8k/test.jsonl")]
    write(mirror, "openai/gsm8k/main/test", problems)
    solved = [{key: row[key] for key in ("question", "answer")} for row in rows("gsm8k/train_slice.jsonl")]
    write(mirror, "openai/gsm8k/main/train", solved)
    for file in sorted((DATA / "bbh").glob("*.jsonl")):
        items = [{key: row[key] for key in ("input", "target")} for row in rows(f"bbh/{file.name}")]
        write(mirror, f"SaylorTwift/bbh/{file.stem}/test", items)
    write(mirror, "openai/openai_humaneval/default/test", rows("humaneval/HumanEval.jsonl"))
    methods = rows("concode/dev500.jsonl")
    write(mirror, "google/code_x_glue_tc_text_to_code/default/validation", methods[10:])
    write(mirror, "google/code_x_glue_tc_text_to_code/default/train", methods[:10])
    for source, target, file in (("java", "cs", "java_to_csharp"), ("cs", "java", "csharp_to_java")):
        pairs = rows(f"code_translation/{file}_test.jsonl")
        content = [{"id": row["id"], source: row["source"], target: row[gold]} for row in pairs]
        write(mirror / file, "google/code_x_glue_cc_code_to_code_trans/default/test", content)
        write(mirror / file, "google/code_x_glue_cc_code_to_code_trans/default/train", content[:10])
    for language in ("da", "zh"):
        pairs = [
            {"id": row["id"], "source": row["src"], "target": row["en"]} for row in rows(f"mt/{language}_en_test.jsonl")
        ]
        write(mirror, f"google/code_x_glue_tt_text_to_text/{language}_en/test", pairs)
    news = [
        {"source": f"line {row['id']}", "reference": row["reference"]}
        for row in rows("wmt17_ende/first1000_4systems.jsonl")
    ]
    write(mirror, "sacrebleu/wmt17/en-de/test", news)
    questions = [
        {
            "prompt_id": row["id"],
            "category": row["category"],
            "prompt": row["turns"],
            "reference": row["reference"] or [],
        }
        for row in rows("mt_bench/questions.jsonl")
    ]
    write(mirror, "HuggingFaceH4/mt_bench_prompts/default/train", questions)
    return mirror
