"""Real checkpoints of examples/zoo, from a run to a verdict."""

import json
from pathlib import Path

import pytest

from evalharness.cli.main import main

ZOO = Path(__file__).parents[2] / "examples" / "zoo"


@pytest.mark.slow
def test_the_tiny_checkpoint_is_found_worse_than_the_base_one(tmp_path, capsys):
    models = [part for name in ("llama-base", "llama-tiny") for part in ("-m", str(ZOO / name))]
    tasks = "demo_qa,demo_multiple_choice,demo_language_modelling,demo_translate_de"
    assert main(["run", *models, "-t", tasks, "--limit", "40", "--output", str(tmp_path)]) == 0
    runs = [str(next((tmp_path / name).iterdir())) for name in ("llama-base", "llama-tiny")]
    capsys.readouterr()
    assert main(["compare", *runs, "--metrics", "all", "--format", "json", "--results", str(tmp_path)]) == 0
    (found,) = json.loads(capsys.readouterr().out)["candidates"]
    assert {each["verdict"] for each in found["metrics"]} == {"worse"}
    tests = {each["metric"]: each["difference"]["test"] for each in found["metrics"]}
    assert tests["accuracy"] == tests["exact_match"] == "mcnemar-exact"
    assert tests["chrf"].startswith("approximate-randomization")
    recorded = json.loads(Path(runs[1], "run.json").read_text())["tasks"]
    values = {(task["name"], metric["name"]): metric["value"] for task in recorded for metric in task["metrics"]}
    for each in found["metrics"]:
        assert each["difference"]["candidate"] == pytest.approx(values[each["task"], each["metric"]], rel=1e-9)
