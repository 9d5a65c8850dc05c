"""Write the demo tasks' documents to tasks/demo/data: `python examples/zoo/make_demo.py`."""

import json
from pathlib import Path

from corpus.demo import DEMO_TASKS, rows

DATA = Path(__file__).parents[2] / "tasks" / "demo" / "data"


def jsonl(name: str, split: str) -> str:
    """Give the text of one split's file; empty if the task has no such split."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(name, split))


def main() -> None:
    """Write every file."""
    DATA.mkdir(parents=True, exist_ok=True)
    for name in DEMO_TASKS:
        for split in ("test", "shots"):
            text = jsonl(name, split)
            if text:
                (DATA / f"{name}.{split}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
