"""Metrics on real system outputs equal values that the reference libraries gave.

Provenance: reference_values.json in the data folder, computed with sacrebleu 2.6.0 (corpus_score) and rouge-score 0.1.2
(mean of per-pair F) on WMT17 English-German, on CodeXGLUE code translation and on Chinese text with every seventh character
removed. The folder is not part of the project: EVALHARNESS_TEST_DATA names it.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from metric_samples import generated

from evalharness.metric.registry import build_metric

DATA = Path(os.environ.get("EVALHARNESS_TEST_DATA", "no-such-folder"))
pytestmark = pytest.mark.skipif(
    not (DATA / "reference_values.json").is_file(), reason="EVALHARNESS_TEST_DATA names no folder with reference values"
)


def rows_of(path):
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines()]


def value(name, parameters, pairs):
    metric = build_metric(name, parameters, where="test")
    rows = np.array([metric.row(generated(answer, reference)) for answer, reference in pairs])
    return float(metric.value(rows.sum(axis=0)))


def reference(start):
    values = json.loads((DATA / "reference_values.json").read_text(encoding="utf-8"))
    return next(values[key] for key in values if key.startswith(start))


# 1e-9 everywhere: the same counts through the same functions, summed in another order.
@pytest.mark.parametrize("system", ["sys_C-3MA.4959", "sys_online-A.0", "sys_SYSTRAN.4847", "sys_TALP-UPC.4834"])
@pytest.mark.parametrize(
    ("key", "name", "parameters"),
    [
        ("BLEU", "bleu", {}),
        ("BLEU_lc", "bleu", {"lowercase": True}),
        ("chrF2", "chrf", {}),
        ("chrF2++", "chrf", {"word_order": 2}),
    ],
)
def test_wmt_system_outputs(system, key, name, parameters):
    pairs = [(row[system], row["reference"]) for row in rows_of("wmt17_ende/first1000_4systems.jsonl")]
    assert value(name, parameters, pairs) == pytest.approx(reference("wmt17_ende_first1000")[system][key], abs=1e-9)


@pytest.mark.parametrize(
    ("direction", "file"), [("java->cs", "java_to_csharp_test"), ("cs->java", "csharp_to_java_test")]
)
@pytest.mark.parametrize(
    ("key", "name", "parameters", "scale"),
    [
        ("BLEU_13a", "bleu", {}, 1),
        ("BLEU_none", "bleu", {"tokenize": "none"}, 1),
        ("chrF2", "chrf", {}, 1),
        ("EM", "exact_match", {}, 100),
        ("rougeL_f", "rougeL", {}, 1),
    ],
)
def test_code_translation_outputs(direction, file, key, name, parameters, scale):
    pairs = [(row["prediction"], row["reference"]) for row in rows_of(f"code_translation/{file}.jsonl")]
    expected = reference("code_translation")[direction][key]
    assert scale * value(name, parameters, pairs) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("key", "name", "parameters"),
    [
        *((f"BLEU_{tokenize}", "bleu", {"tokenize": tokenize}) for tokenize in ("13a", "zh", "char", "intl", "none")),
        ("chrF2", "chrf", {}),
        ("chrF2++", "chrf", {"word_order": 2}),
        ("rouge1_default_tok", "rouge1", {}),
        ("rouge1_char", "rouge1", {"tokenizer": "char"}),
        ("rougeL_char", "rougeL", {"tokenizer": "char"}),
    ],
)
def test_chinese_with_characters_removed(key, name, parameters):
    lines = [row["src"].strip() for row in rows_of("mt/zh_en_test.jsonl")]
    pairs = [("".join(c for i, c in enumerate(line) if i % 7 != 6), line) for line in lines]
    assert value(name, parameters, pairs) == pytest.approx(reference("zh_drop7")[key], abs=1e-9)


@pytest.mark.parametrize(
    ("key", "parameters"),
    [("TER_first100_asian", {"normalized": True, "asian_support": True}), ("TER_first100_default", {})],
)
def test_edit_rate_of_chinese_with_characters_removed(key, parameters):
    lines = [row["src"].strip() for row in rows_of("mt/zh_en_test.jsonl")[:100]]
    pairs = [("".join(c for i, c in enumerate(line) if i % 7 != 6), line) for line in lines]
    assert value("ter", parameters, pairs) == pytest.approx(reference("zh_drop7")[key], abs=1e-9)
