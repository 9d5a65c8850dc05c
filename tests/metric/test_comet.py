"""COMET is what unbabel-comet computes in its own environment, and whatever happens there ends in one clear error.

Here the environment holds a stand-in for the library; `test_comet_library.py` asks the real one where it is installed.
"""

import ast
import json
import re
import subprocess
import time

import pytest
import yaml
from comet_stand_in import make_environment, write_checkpoint
from metric_samples import COMET_PYTHON, Watched, generated, translated

from evalharness.cli.main import main
from evalharness.errors import MetricError
from evalharness.metric.base import UNWATCHED
from evalharness.metric.comet_process import PATIENCE_VARIABLE, WORKER
from evalharness.metric.registry import build_metric
from evalharness.metric.summary import summarise
from evalharness.request import Generated
from evalharness.run.preparation import RunSettings, prepare
from evalharness.run.scoring import make_samples
from evalharness.task.loading import load_task


def comet(model="regression", source="de", **parameters):
    return build_metric("comet", {"model": f"stand-in-{model}", "source": source, **parameters}, where="here")


@pytest.fixture
def stand_in():
    return COMET_PYTHON


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A data folder without anything in it, and no environment of COMET."""
    monkeypatch.delenv("EVALHARNESS_COMET_PYTHON")
    monkeypatch.setenv("EVALHARNESS_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_scores_are_the_model_s_and_the_value_is_their_mean():
    metric = comet()
    samples = [translated("ein", "a b", "a b"), translated("zwei drei", "a b", "a c d"), translated("", "", "x")]
    metric.prepare(samples, UNWATCHED)
    rows = [metric.row(sample) for sample in samples]
    assert rows == [(0.1, 1.0), (pytest.approx(0.25 / 100), 1.0), (0.0, 1.0)]
    import numpy as np

    assert summarise(metric, np.array(rows)).value == pytest.approx((0.1 + 0.0025 + 0) / 3)


@pytest.mark.parametrize(("references", "expected"), [("mean", (1 + 0.5 + 0) / 3), ("max", 1.0), ("first", 0.5)])
def test_several_references_are_combined_as_asked(references, expected):
    metric = comet("sourceless", None, references=references)
    assert metric.row(generated("a b", "a", "a b", "c"))[0] == pytest.approx(expected)


def test_equal_segments_are_asked_once_and_progress_counts_them_all():
    metric, watched = comet(), Watched()
    samples = [translated("s", f"answer {i % 20}", "answer 1", "answer 2") for i in range(60)]
    metric.prepare(samples, watched)
    assert (watched.expected, watched.done) == ([40], 40)
    assert metric.row(samples[1]) == comet().row(samples[1])


def test_model_without_references_gets_none_and_the_signature_says_what_it_reads():
    metric = comet("referenceless")
    assert metric.row(translated("a b", "a b", "x", "y"))[0] == 1.0
    assert "|reads:mt+src|" in metric.signature()
    assert comet("referenceless", references="none").row(translated("a b", "a c"))[0] == pytest.approx(1 / 3)


def test_flexible_model_does_without_references_and_gives_its_parts():
    assert comet("unified", references="none").row(translated("a b", "a b"))[0] == 1.0
    assert comet("unified", part="src_scores").row(translated("a b", "a", "x"))[0] == 0.5


def test_signature_names_parameters_versions_and_checkpoint():
    signature = comet().signature()
    assert re.fullmatch(
        r"comet\|model:stand-in-regression\|source:de\|references:mean\|part:score"
        r"\|checkpoint:[0-9a-f]{12}\|reads:mt\+src\+ref\|torch:1\.0\|unbabel_comet:2\.2\.7",
        signature,
    )


def test_local_checkpoints_are_files_or_the_folders_above_them(tmp_path):
    file = write_checkpoint(tmp_path / "mine", "regression")
    for model in (file, tmp_path / "mine"):
        metric = build_metric("comet", {"model": str(model), "source": "de"}, where="here")
        assert metric.row(translated("ein", "a b", "a b"))[0] == 0.1
    (tmp_path / "mine" / "hparams.yaml").unlink()
    for model, message in (
        (file, "there is no .*hparams.yaml"),
        (tmp_path, "holds 0 files"),
        ("./no.ckpt", "there is no"),
    ):
        with pytest.raises(MetricError, match=message):
            build_metric("comet", {"model": str(model), "source": "de"}, where="here")


def test_source_must_be_named_or_renounced():
    with pytest.raises(MetricError, match="lacks its parameter `source`"):
        build_metric("comet", {"model": "stand-in-regression"}, where="here")
    with pytest.raises(MetricError, match="nothing to compare"):
        comet(source=None, references="none")
    with pytest.raises(MetricError, match=r"(?s)reads the source.*`source: COLUMN`"):
        comet(source=None).row(generated("a", "b"))
    with pytest.raises(MetricError, match=r"(?s)reads a reference.*remove `references: none`"):
        comet(references="none").row(translated("a", "b"))


def test_part_that_the_model_does_not_give_is_an_error():
    with pytest.raises(MetricError, match=r"gives score here"):
        comet(part="mqm_scores").row(translated("a", "b", "c"))


def task(folder, documents, metric):
    content = {
        "name": "translation",
        "data": {"inline": documents},
        "prompt": "{{ de }}",
        "reference": "{{ en }}",
        "output": {"generate": {"max_new_tokens": 4}},
        "metrics": [metric],
    }
    path = folder / "translation.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return prepare(load_task(path), RunSettings(), chat=False)


def test_documents_without_a_number_or_with_a_broken_text_fail_alone(tmp_path):
    documents = [{"de": word, "en": "a b"} for word in ("eins", "zwei", "drei")]
    prepared = task(tmp_path, documents, {"name": "comet", "model": "stand-in-regression", "source": "de"})
    texts = dict(zip("012", ("a b", "not a number", "\ud800"), strict=True))
    answers = {
        request.key: Generated(request.key, texts[request.key.document_id], 1, "eos")
        for request in prepared.first_requests()
    }
    first, second, third = make_samples(prepared, answers)
    assert first.rows["comet"][0] == 0.1
    assert "COMET gave no finite number" in second.sample.error
    assert "surrogates not allowed" in third.sample.error


OF_COLUMN_FR = {"model": "m", "source": "fr"}


@pytest.mark.parametrize(
    "metric",
    [
        {"name": "comet", **OF_COLUMN_FR},
        {"name": "best_of_k", "parameters": {"metric": "comet", "parameters": OF_COLUMN_FR}},
    ],
)
def test_column_that_documents_lack_is_found_before_a_model_is_asked(tmp_path, metric):
    with pytest.raises(
        MetricError, match=r"(?s)reads the column `fr`, which is no text in document `0` and 1 more.*de, en"
    ):
        task(tmp_path, [{"de": "a", "en": "b"}, {"de": "c", "en": "d"}], metric)


@pytest.mark.usefixtures("elsewhere")
def test_environment_that_is_not_there_is_told_before_a_model_is_asked(tmp_path):
    with pytest.raises(
        MetricError, match=r"translation.yaml:\d+: metric `comet`: .*run `evalharness setup comet` once"
    ):
        task(tmp_path, [{"de": "a", "en": "b"}], {"name": "comet", "model": "m", "source": "de"})


def test_plain_files_are_scored_with_their_source(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, text in (("s", "ein\nzwei drei\n"), ("r", "a b\na c\n"), ("p", "a b\na c\n"), ("short", "x\n")):
        (tmp_path / name).write_text(text)
    files = [
        "metric",
        "comet",
        "-r",
        "r",
        "-p",
        "p",
        "--param",
        "model=stand-in-regression",
        "--param",
        "source=source",
    ]
    assert main([*files, "-s", "s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx((0.1 + 0.01) / 2)
    assert main(files) == 2
    assert "give --source FILE" in capsys.readouterr().err
    assert main([*files, "-s", "short"]) == 2
    assert "short has 1 line, p has 2 lines" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "mode", "message"),
    [
        (None, 0o755, "is no program"),
        ("#!/bin/sh\nexit 0\n", 0o644, "is no program"),
        ("no program", 0o755, "does not start"),
        ("#!/bin/sh\necho broken >&2; exit 3\n", 0o755, r"has no unbabel-comet \(broken\)"),
    ],
)
def test_broken_python_is_told_when_the_metric_is_built(tmp_path, monkeypatch, program, mode, message):
    if program is not None:
        (tmp_path / "python").write_text(program)
        (tmp_path / "python").chmod(mode)
    monkeypatch.setenv("EVALHARNESS_COMET_PYTHON", str(tmp_path / "python"))
    with pytest.raises(MetricError, match=f"(?s){message}.*run `evalharness setup comet`"):
        comet()


def test_model_that_cannot_be_fetched_is_an_error_with_the_library_s_words_and_a_cure():
    with pytest.raises(MetricError) as raised:
        comet("unknown").prepare([translated("a", "b", "c")], UNWATCHED)
    (problem,) = raised.value.problems
    assert "ended with exit code 1 while fetching the model stand-in-unknown" in problem.what
    assert "Model 'stand-in-unknown' not supported by COMET." in problem.what
    assert "name a local checkpoint" in problem.fix


def test_hub_model_out_of_reach_is_told_when_the_metric_is_built(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MetricError, match=r"model Unbabel/none is not in the local cache.*name a local checkpoint"):
        build_metric("comet", {"model": "Unbabel/none", "source": "de"}, where="here")


def test_worker_that_is_killed_is_an_error_with_its_last_words():
    with pytest.raises(MetricError) as raised:
        comet("killed").prepare([translated("a", "b", "c")], UNWATCHED)
    assert "ended with signal 9 (SIGKILL) while scoring" in str(raised.value)
    assert "about to run out of memory" in str(raised.value)


def test_worker_that_falls_silent_is_given_up(monkeypatch):
    monkeypatch.setenv(PATIENCE_VARIABLE, "1.5")
    begun = time.monotonic()
    with pytest.raises(MetricError, match=r"(?s)was silent for 1.5 s while scoring.*about to say nothing"):
        comet("silent").prepare([translated("a", "b", "c")], UNWATCHED)
    assert time.monotonic() - begun < 60


def test_garbage_on_the_worker_s_stdout_is_an_error(tmp_path, monkeypatch):
    python = make_environment(tmp_path / "noisy", ["regression"])
    (packages,) = (tmp_path / "noisy").glob("lib/python*/site-packages")
    (packages / "sitecustomize.py").write_text("print('welcome to this machine', flush=True)\n")
    monkeypatch.setenv("EVALHARNESS_COMET_PYTHON", str(python))
    with pytest.raises(MetricError, match=r"said what is no message of its own: 'welcome to this machine'"):
        comet().prepare([translated("a", "b", "c")], UNWATCHED)


def test_worker_ends_when_its_caller_is_gone(tmp_path, stand_in):
    header = {"model": "stand-in-silent", "part": "score", "device": "cpu", "batch_size": 16}
    lines = ({**header, "has_source": True, "has_reference": True}, {"src": "a", "mt": "b", "ref": "c"})
    (tmp_path / "request").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [stand_in, "-I", WORKER, tmp_path / "request"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        while b'"done"' not in worker.stdout.readline():
            assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(timeout=60) == 1


def test_worker_is_a_program_for_python_3_8_that_imports_nothing_of_ours():
    tree = ast.parse(WORKER.read_text(), feature_version=(3, 8))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {
        name for node in nodes for name in [getattr(node, "module", None), *(a.name for a in node.names)] if name
    }
    assert not [name for name in imported if name.startswith("evalharness")]
    assert {"comet", "torch"} <= imported


def test_environment_that_is_there_can_be_registered(elsewhere, stand_in, capsys):
    for place in (stand_in, stand_in.parents[1]):
        assert main(["setup", "comet", "--from", str(place)]) == 0
        assert f"unbabel-comet 2.2.7 works and is run by {stand_in}" in capsys.readouterr().out
        assert comet().row(translated("ein", "a b", "a b"))[0] == 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "nowhere"], "no such file or folder"),
        (["--from", "full"], "there is no "),
        (["--from", "full/broken"], "cannot be imported:\n    No module named comet"),
        (["--from", "full", "--to", "x"], "leave out --python and --to"),
        (["--to", "full"], "the folder is not empty"),
        (["--python", "/bin/false"], "/bin/false cannot make a virtual environment"),
        (["--python", "/nowhere/python"], "/nowhere/python cannot make a virtual environment"),
    ],
)
def test_environment_that_cannot_be_had_is_an_error_and_leaves_nothing(
    elsewhere, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(elsewhere)
    (elsewhere / "full").mkdir()
    broken = elsewhere / "full/broken"  # it knows the version, and cannot import the package
    broken.write_text(
        '#!/bin/sh\ncase "$3" in *metadata*) echo 2.2.7;; *) echo No module named comet >&2; exit 1;; esac\n'
    )
    broken.chmod(0o755)
    assert main(["setup", "comet", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(elsewhere.glob("data/*"))
