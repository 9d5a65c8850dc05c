"""Metrics by name: quick to list, strict about parameters, all mistakes at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.errors import MetricError
from evalharness.metric.registry import METRICS, build_metric


def test_listing_metrics_loads_no_heavy_library():
    program = (
        "import sys; from evalharness.metric.registry import METRICS; list(METRICS);"
        "print(sorted({'numpy', 'scipy', 'sacrebleu', 'rouge_score', 'nltk', 'torch'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_building_a_metric_loads_no_scoring_library():
    program = (
        "import sys; from evalharness.metric.registry import METRICS, build_metric;"
        "from metric_samples import REQUIRED;"
        "[build_metric(name, REQUIRED.get(name, {}), where='', trust_metric_code=True).signature() for name in METRICS];"
        "print(sorted({'sacrebleu', 'rouge_score', 'nltk', 'torch', 'jiwer', 'sklearn', 'tree_sitter'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert shown.stdout.strip() == "[]"


def test_unknown_metric_is_told_with_its_nearest_name():
    with pytest.raises(MetricError) as raised:
        build_metric("exactmatch", {}, where="tasks/a.yaml:7")
    assert "tasks/a.yaml:7: unknown metric `exactmatch`" in str(raised.value)
    assert "did you mean `exact_match`?" in str(raised.value)


def test_all_wrong_parameters_are_told_at_once():
    parameters = {"ignore_cas": True, "ignore_numbers": "yes", "regexes_to_ignore": ["("], "ignore_punctuation": 1}
    with pytest.raises(MetricError) as raised:
        build_metric("exact_match", parameters, where="tasks/a.yaml:7")
    told = [str(problem) for problem in raised.value.problems]
    assert len(told) == 4
    assert all(problem.startswith("tasks/a.yaml:7: ") for problem in told)
    assert "unknown parameter `ignore_cas`" in told[0]
    assert "did you mean `ignore_case`?" in told[0]
    assert any("`ignore_numbers`" in problem and "'yes'" in problem and "boolean" in problem for problem in told)
    assert any("'(' is not a regular expression" in problem for problem in told)
    assert any("`ignore_punctuation`" in problem and "cannot be 1" in problem for problem in told)


def test_parameter_of_a_metric_without_any_is_told_so():
    with pytest.raises(MetricError, match="`accuracy` takes no parameters"):
        build_metric("accuracy", {"normalise": True}, where="here")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("bleu", {"tokenize": "13b"}, "`tokenize` of metric `bleu` cannot be '13b'"),
        ("bleu", {"smooth_value": 0.1}, "smooth_method `exp` has no smooth_value"),
        ("bleu", {"smooth_method": "floor", "smooth_value": -1.0}, "greater than 0"),
        ("bleu", {"max_ngram_order": 5}, "less than or equal to 4"),
        ("chrf", {"word_order": 3}, "less than or equal to 2"),
        ("chrf", {"beta": 2.5}, "valid integer"),
        ("rouge2", {"use_stemmer": True, "tokenizer": "char"}, "use_stemmer needs words"),
        ("exact_match", {"regexes_to_ignore": "[0-9]"}, "valid tuple"),
    ],
)
def test_wrong_parameter_is_an_error(name, parameters, message):
    with pytest.raises(MetricError) as raised:
        build_metric(name, parameters, where="here")
    assert message in str(raised.value)


def test_whole_numbers_serve_as_floats():
    metric = build_metric("bleu", {"smooth_method": "add-k", "smooth_value": 1}, where="here")
    assert "smooth_value:1.0" in metric.signature()


def test_every_registered_name_is_its_metric_s_name():
    assert all(METRICS[name].name == name for name in METRICS)
