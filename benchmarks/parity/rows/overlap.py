"""BLEU, chrF and TER by sacrebleu, ROUGE by rouge-score."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

from rows.row import Row, ours
from rows.texts import Texts


def against(name: str, setting: str, parameters: dict[str, Any], scorer: Any, data: Texts) -> Row:
    """Compare one value with a scorer of sacrebleu."""
    mine, theirs = ours(name, parameters, data.samples()), scorer.corpus_score(data.answers, data.transposed).score
    return Row(name, setting, data.name, mine, theirs, f"sacrebleu {version('sacrebleu')}")


def overlap(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare BLEU, chrF and TER with sacrebleu."""
    from sacrebleu.metrics import BLEU, CHRF, TER

    every = [f"wmt {i}" for i in range(4)] + ["several", "java-cs", "cs-java", "gsm8k", "zh", "edge", "identical"]
    for key in every:
        yield against("bleu", "13a", {}, BLEU(), found[key])
    tokenizers = {"zh": ["zh", "edge"], "char": ["zh", "java-cs"], "intl": ["wmt 0", "zh"],
                  "none": ["java-cs", "cs-java", "zh"]}  # fmt: skip
    for tokenizer, keys in tokenizers.items():
        for key in keys:
            yield against("bleu", tokenizer, {"tokenize": tokenizer}, BLEU(tokenize=tokenizer), found[key])
    for method, value in (("floor", 0.1), ("add-k", 1.0), ("none", None)):
        parameters = {"smooth_method": method, **({} if value is None else {"smooth_value": value})}
        yield against("bleu", f"smooth {method}", parameters, BLEU(**parameters), found["edge"])
    yield against("bleu", "lower case", {"lowercase": True}, BLEU(lowercase=True), found["wmt 1"])
    sentence = BLEU(effective_order=True)
    for key in ("wmt 0", "several", "zh", "edge", "identical"):
        scores = [sentence.sentence_score(a, list(refs)).score for a, refs in found[key].pairs]
        mine = ours("sentence_bleu", {}, found[key].samples())
        yield Row(
            "sentence_bleu", "", found[key].name, mine, float(np.mean(scores)), f"sacrebleu {version('sacrebleu')}"
        )
    for key in every:
        yield against("chrf", "", {}, CHRF(), found[key])
        yield against("chrf", "chrF++", {"word_order": 2}, CHRF(word_order=2), found[key])
    asian = {"normalized": True, "asian_support": True}
    for data in (found["wmt 0"].first(300), found["several"].first(300), found["java-cs"].first(100), found["gsm8k"].first(30),
                 found["edge"], found["identical"]):  # fmt: skip
        yield against("ter", "", {}, TER(), data)
    yield against("ter", "Asian", asian, TER(**asian), found["zh"].first(100))
    strict = {"case_sensitive": True, "no_punct": True}
    yield against("ter", "case, no punctuation", strict, TER(**strict), found["wmt 1"].first(100))


def mecab(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare BLEU with sacrebleu's tokenizers of other packages."""
    from sacrebleu.metrics import BLEU

    for tokenizer, key in (("ja-mecab", "zh"), ("ko-mecab", "wmt 0")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield against("bleu", tokenizer, {"tokenize": tokenizer}, BLEU(tokenize=tokenizer), found[key])


class Characters:
    """A tokenizer for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        """Split into characters other than blanks."""
        return [c for c in text.lower() if not c.isspace()]


def recall(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare ROUGE with rouge-score."""
    from rouge_score.rouge_scorer import RougeScorer

    by = f"rouge-score {version('rouge-score')}"
    cases = [("wmt 0", {}), ("several", {}), ("java-cs", {}), ("gsm8k", {}), ("gsm8k", {"use_stemmer": True}),
             ("zh", {"tokenizer": "char"}), ("edge", {}), ("identical", {})]  # fmt: skip
    for key, parameters in cases:
        data = found[key]
        tokenizer = Characters() if "tokenizer" in parameters else None
        kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
        scorer = RougeScorer(kinds, use_stemmer=parameters.get("use_stemmer", False), tokenizer=tokenizer)
        scores = [scorer.score_multi(list(refs), answer) for answer, refs in data.pairs]
        for kind in kinds:
            mean = 100 * float(np.mean([score[kind].fmeasure for score in scores]))
            setting = "stemmed" if "use_stemmer" in parameters else "char" if tokenizer else ""
            yield Row(kind, setting, data.name, ours(kind, dict(parameters), data.samples()), mean, by)
