"""A typo never weakens a gate: every key of its configuration is checked."""

import math
import re
import typing
from pathlib import Path

import pytest
import yaml
from gate_cases import config
from pydantic import BaseModel

from evalharness.errors import GateError
from evalharness.gate.config import GateConfig, check_patterns, checked_config, find_config, margin_of, read_gate_config
from evalharness.resources import bundled_dir
from evalharness.yaml_source import YamlSource

GATES = sorted((bundled_dir("configs") / "gates").glob("*.yaml"))


def read(tmp_path, text):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    return checked_config(read_gate_config(path))


@pytest.mark.parametrize("path", GATES, ids=lambda path: path.stem)
def test_gates_that_come_with_evalharness_are_valid(path):
    assert checked_config(read_gate_config(path)).alpha == 0.05


def test_the_default_gate_says_every_default_that_a_gate_has():
    written = yaml.safe_load((bundled_dir("configs") / "gates/default.yaml").read_text())
    default = checked_config(read_gate_config(find_config("default")))
    assert set(written) | {"seed"} == set(type(default).model_fields)
    unsaid = checked_config(YamlSource(find_config("default"), {"version": 1}, {}))
    differing = {key for key in written if getattr(default, key) != getattr(unsaid, key)}
    assert differing == {"tasks", "performance"}


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("version: 1\non_inconclusve: fail\n", "gate.yaml:2", "did you mean `on_inconclusive`?"),
        ("version: 1\nsuite:\n  margn: 0.1\n", "gate.yaml:3", "did you mean `margin`?"),
        ("version: 1\ntasks:\n  gsm8k:\n    requird: true\n", "gate.yaml:4", "requird"),
        ("version: 1\nperformance: {peak_memory: {max_drop_rel: 0.1}}\n", "gate.yaml:2", "max_drop_rel"),
        ("version: 1\nalpha: '0.05'\n", "gate.yaml:2", "alpha"),
        ("version: 1\nalpha: 0\n", "gate.yaml:2", "alpha"),
        ("version: 1\ntasks: {a: {margin: -0.1}}\n", "gate.yaml:2", "margin"),
        ("version: 1\ntasks: {a: {required: regresion-only}}\n", "gate.yaml:2", "required"),
        ("version: 1\ntasks: {a: {min: 0.9, max: 0.1}}\n", "gate.yaml:2", "min 0.9 is above max 0.1"),
        ("version: 1\nbaselines: []\n", "gate.yaml", "baselines is empty"),
        ("version: 1\nbaselines: [main, main]\n", "gate.yaml", "named twice"),
        ("version: 2\n", "gate.yaml:1", "version"),
        ("alpha: 0.05\n", "gate.yaml:1", "`version` is missing"),
    ],
)
def test_a_mistake_is_an_error_with_file_and_line(tmp_path, text, place, said):
    with pytest.raises(GateError) as caught:
        read(tmp_path, text)
    assert place in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_rule_for_a_task_that_no_run_has_is_an_error(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text("version: 1\ntasks:\n  '*': {margin: 0.1}\n  gms8k: {required: true}\n")
    source = read_gate_config(path)
    with pytest.raises(GateError, match="did you mean `gsm8k`") as caught:
        check_patterns(checked_config(source), ["gsm8k", "mmlu"], source)
    assert "gate.yaml:4" in str(caught.value)


def test_a_gate_is_found_by_its_name_and_an_unknown_name_by_its_neighbour():
    assert find_config("nightly").name == "nightly.yaml"
    with pytest.raises(GateError, match="did you mean `nightly`"):
        find_config("nightli")


def test_the_rule_of_a_name_is_stronger_than_that_of_a_pattern():
    gate = config(tasks={"gsm8k": {"required": True}, "gsm*": {"required": False, "weight": 2.0}})
    assert gate.rule("gsm8k").required is True
    assert gate.rule("gsm8k").weight == 2.0
    assert gate.rule("mmlu").required == "regression-only"


def test_a_rule_with_one_kind_of_margin_displaces_the_other():
    rule = config(tasks={"wikitext": {"margin_rel": 0.01}}).rule("wikitext")
    assert (rule.margin, rule.margin_rel) == (None, 0.01)


def margin(unit, is_ratio=False, baseline_value=20.0, **rule):
    one = config(tasks={"a": rule}).rule("a")
    return margin_of(one, is_ratio=is_ratio, unit=unit, baseline_value=baseline_value)


def test_an_absolute_margin_is_a_share_of_the_metrics_range():
    assert margin("fraction", margin=0.02) == 0.02
    assert margin("percent", margin=0.02) == 2.0


def test_a_relative_margin_is_a_share_of_the_baselines_value():
    assert margin("fraction", baseline_value=0.5, margin_rel=0.1) == pytest.approx(0.05)
    assert margin("bits", margin=0.02, margin_rel=0.1) == pytest.approx(2.0)


def test_a_margin_of_a_ratio_is_a_logarithm_and_must_be_relative():
    assert margin("perplexity", is_ratio=True, margin_rel=0.01) == pytest.approx(math.log(1.01))
    with pytest.raises(GateError, match="give `margin_rel`"):
        margin("perplexity", is_ratio=True, margin=0.02)


def keys(model):
    """Every key of a gate's file, of its parts as well."""
    for name, field in model.model_fields.items():
        yield name
        for kind in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind)


def test_every_key_of_a_gate_stands_in_its_page_and_the_page_shows_a_valid_gate(tmp_path):
    page = (Path(__file__).parents[2] / "docs/gate.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(version: 1\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    read(tmp_path, shown)
    missing = {key for key in keys(GateConfig) if not re.search(rf"\b{key}\b", page)}
    assert not missing, f"explain in docs/gate.md: {missing}"
