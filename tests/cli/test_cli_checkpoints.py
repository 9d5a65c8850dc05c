"""``evalharness run`` on the zoo's real checkpoints: three architectures, few-shot, killed and resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalharness.run.store import ResultStore

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "examples" / "zoo"
DATA = Path(os.environ.get("EVALHARNESS_TEST_DATA", "/nonexistent"))

pytestmark = pytest.mark.slow

GENERATE = """\
name: sums
data: {{files: {{test: {file}}}, shots: test}}
prompt: "Question: {question}\\nAnswer:"
reference: "{answer}"
shots: {{count: 2}}
output: {{generate: {{max_new_tokens: 24, stop: ["\\n"]}}}}
filters: [last_number]
"""

CHOOSE = """\
name: parity
data: {{files: {{test: {file}}}, shots: test}}
prompt: "Question: {question}\\nAnswer:"
choices: {choices}
reference: "{answer}"
shots: {{count: 2}}
output: choose
"""


def evalharness(*arguments, cwd):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "evalharness", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tasks(tmp_path):
    """Write the two tasks over made-up documents, and return their folder."""
    rows = [
        f'{{"q": "What is {i} + {i + 3}?", "a": "{2 * i + 3}", "p": "{["even", "odd"][i % 2]}"}}' for i in range(40)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    (tmp_path / "sums.yaml").write_text(GENERATE.format(file="rows.jsonl", question="{{ q }}", answer="{{ a }}"))
    choices = "[even, odd]"
    (tmp_path / "parity.yaml").write_text(
        CHOOSE.format(file="rows.jsonl", question="{{ q }}", answer="{{ p }}", choices=choices)
    )
    return tmp_path


@pytest.mark.parametrize("model", ["llama-tiny", "t5", "bert"])
def test_a_local_directory_of_every_architecture_is_evaluated_few_shot(model, tasks):
    names = "parity.yaml" if model == "bert" else "sums.yaml,parity.yaml"
    done = evalharness("run", "-m", str(ZOO / model), "-t", names, "--limit", "8", cwd=tasks)
    assert done.returncode == 0, done.stderr
    (entry,) = ResultStore(tasks / "results").runs()
    record = entry.record
    assert [task.n_scored for task in record.tasks] == [8] * len(names.split(","))
    assert all(task.shots == 2 for task in record.tasks)
    assert record.model.identity["weights"]
    assert record.model.identity["n_parameters"] > 0
    assert record.tokens.prompt_tokens > 0


def test_a_masked_model_refuses_to_generate_before_any_work(tasks):
    done = evalharness("run", "-m", str(ZOO / "bert"), "-t", "sums.yaml,parity.yaml", cwd=tasks)
    assert done.returncode == 2
    assert "generate text, which a masked model cannot do" in done.stderr
    assert not (tasks / "results").exists()


def test_a_killed_run_is_resumed_with_the_same_bits(tasks):
    command = ["run", "-m", str(ZOO / "llama-tiny"), "-t", "sums.yaml,parity.yaml", "--batch-tokens", "300"]
    whole = evalharness(*command, "--output", "whole", cwd=tasks)
    assert whole.returncode == 0, whole.stderr
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "evalharness", *command],
        cwd=tasks,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    n_lines = 0
    while time.monotonic() < deadline and n_lines < 20 and process.poll() is None:
        journals = list((tasks / "results").glob("*/*/journal.jsonl"))
        n_lines = journals[0].read_bytes().count(b"\n") if journals else 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    (entry,) = ResultStore(tasks / "results").runs()
    assert entry.state == "unfinished", "the run must be killed before it ends"
    resumed = evalharness(*command, cwd=tasks)
    assert resumed.returncode == 0, resumed.stderr
    assert "responses are kept" in resumed.stderr
    stores = [ResultStore(tasks / name) for name in ("whole", "results")]
    samples = []
    for store in stores:
        (entry,) = store.runs()
        samples.append([(row["task"], row["document_id"], row["responses"]) for row in store.samples(entry.run_id)])
    assert samples[0] == samples[1], "log-probabilities and texts are equal to the last bit"


@pytest.mark.skipif(not DATA.is_dir(), reason="EVALHARNESS_TEST_DATA is not set to a folder of benchmark data")
@pytest.mark.parametrize("model", ["llama-base", "t5", "bert"])
def test_real_benchmark_data_goes_the_whole_way(model, tmp_path):
    gsm = GENERATE.replace("name: sums", "name: gsm").format(
        file=DATA / "gsm8k/test.jsonl", question="{{ question }}", answer="{{ final_answer }}"
    )
    (tmp_path / "gsm.yaml").write_text(gsm)
    bbh = CHOOSE.replace("name: parity", "name: bbh").format(
        file=DATA / "bbh/navigate.jsonl", question="{{ input }}", answer="{{ target }}", choices="['Yes', 'No']"
    )
    (tmp_path / "bbh.yaml").write_text(bbh)
    names = "bbh.yaml" if model == "bert" else "gsm.yaml,bbh.yaml"
    done = evalharness("run", "-m", str(ZOO / model), "-t", names, "--limit", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (entry,) = ResultStore(tmp_path / "results").runs()
    assert all(task.n_scored == 10 for task in entry.record.tasks)
