"""Score real outputs with our metrics and with the libraries that define them, and show the differences.

    python benchmarks/parity/metrics.py --data DIR [--wordnet DIR] [--squad FILE] [--mlqa FILE] [--write]

DIR is laid out as the tests' EVALHARNESS_TEST_DATA: wmt17_ende/first1000_4systems.jsonl (outputs of four WMT17 systems),
code_translation/*.jsonl (CodeXGLUE's released outputs), gsm8k/{test,train_slice}.jsonl, mt/zh_en_test.jsonl,
bbh/sports_understanding.jsonl. --wordnet: WordNet 3.0, as for `evalharness setup wordnet`. --squad, --mlqa: the official
scripts evaluate-v2.0.py and mlqa_evaluation_v1.py; without them token F1 and character F1 are left out.
--write puts the table into docs/metrics.md and the numbers into report_metrics.json beside this file.

Where the data hold no model's answers (GSM8K, Chinese), answers are made from the texts in a fixed way, and where they hold no
probabilities (choices), these are drawn with a fixed seed. The reference is always called by itself on the plain lists: it
shares no code with our rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import itertools
import json
import logging
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evalharness.backend import open_backend
from evalharness.backend.protocol import EngineSettings
from evalharness.metric.base import UNWATCHED, Prepares, RankMetric
from evalharness.metric.registry import build_metric
from evalharness.model.spec import ModelSpec
from evalharness.request import Document, Generated, RequestKey, Sample, Scored

ROOT = Path(__file__).parents[2]
PAGE, REPORT = ROOT / "docs/metrics.md", Path(__file__).parent / "report_metrics.json"
BEGIN, END = "<!-- parity table: begin -->", "<!-- parity table: end -->"
ENCODER, DECODER = ROOT / "examples/zoo/bert", ROOT / "examples/zoo/llama-tiny"
MODULE = ROOT / "tests/metric/modules/share_equal"


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


class Row(NamedTuple):
    """One line of the table."""

    metric: str
    data: str
    ours: float
    reference: float
    by: str
    tolerance: float

    @property
    def difference(self) -> float:
        """How far ours is from the reference."""
        return abs(self.ours - self.reference)


def sample(answers: Sequence[str], references: Sequence[str]) -> Sample:
    """Return a document with one answer a repeat."""
    key = RequestKey("parity", "document")
    responses = tuple((Generated(key, answer, 1, "eos"),) for answer in answers)
    return Sample("parity", Document("document", {}, ""), "", tuple(references), responses, "", answers=tuple(answers))


def choice(logprobs: Sequence[float], correct: int, names: Sequence[str]) -> Sample:
    """Return a document with the log-probabilities of its choices."""
    key = RequestKey("parity", "document")
    responses = (tuple(Scored(key, float(x), 1, 1, False) for x in logprobs),)
    return Sample(
        "parity",
        Document("document", {}, ""),
        "",
        (),
        responses,
        "",
        choices=tuple(names),
        reference_indices=(correct,),
    )


def ours(name: str, parameters: dict[str, Any], samples: Sequence[Sample]) -> float:
    """Return our metric's value."""
    metric = build_metric(name, parameters, where="parity", trust_metric_code=True)
    if isinstance(metric, Prepares):
        metric.prepare(samples, UNWATCHED)
    rows = np.array([metric.row(one) for one in samples])
    return metric.value_of_rows(rows) if isinstance(metric, RankMetric) else float(metric.value(rows.sum(axis=0)))


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(data: Path) -> dict[str, Texts]:
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


def overlap(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare BLEU, chrF and TER with sacrebleu."""
    from sacrebleu.metrics import BLEU, CHRF, TER

    by = f"sacrebleu {version('sacrebleu')}"

    def against(name: str, shown: str, parameters: dict[str, Any], scorer: Any, data: Texts) -> Row:
        mine = ours(name, parameters, data.samples())
        return Row(shown, data.name, mine, scorer.corpus_score(data.answers, data.transposed).score, by, 1e-9)

    every = [f"wmt {i}" for i in range(4)] + ["several", "java-cs", "cs-java", "gsm8k", "zh", "edge", "identical"]
    for key in every:
        yield against("bleu", "BLEU 13a", {}, BLEU(), found[key])
    for tokenizer, keys in {"zh": ["zh", "edge"], "char": ["zh", "java-cs"], "intl": ["wmt 0", "zh"],
                            "none": ["java-cs", "cs-java", "zh"], "ja-mecab": ["zh"],
                            "ko-mecab": ["wmt 0"]}.items():  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                scorer = BLEU(tokenize=tokenizer)
            except RuntimeError:
                continue  # its package is not installed
        for key in keys:
            yield against("bleu", f"BLEU {tokenizer}", {"tokenize": tokenizer}, scorer, found[key])
    for method, value in (("floor", 0.1), ("add-k", 1.0), ("none", None)):
        parameters = {"smooth_method": method, **({} if value is None else {"smooth_value": value})}
        yield against("bleu", f"BLEU smooth {method}", parameters, BLEU(**parameters), found["edge"])
    yield against("bleu", "BLEU lower case", {"lowercase": True}, BLEU(lowercase=True), found["wmt 1"])
    sentence = BLEU(effective_order=True)
    for key in ("wmt 0", "several", "zh", "edge", "identical"):
        scores = [sentence.sentence_score(a, list(refs)).score for a, refs in found[key].pairs]
        mine = ours("sentence_bleu", {}, found[key].samples())
        yield Row("sentence BLEU", found[key].name, mine, float(np.mean(scores)), by, 1e-9)
    for key in every:
        yield against("chrf", "chrF", {}, CHRF(), found[key])
        yield against("chrf", "chrF++", {"word_order": 2}, CHRF(word_order=2), found[key])
    asian = {"normalized": True, "asian_support": True}
    for data in (found["wmt 0"].first(300), found["several"].first(300), found["java-cs"].first(100), found["gsm8k"].first(30),
                 found["edge"], found["identical"]):  # fmt: skip
        yield against("ter", "TER", {}, TER(), data)
    yield against("ter", "TER Asian", asian, TER(**asian), found["zh"].first(100))
    strict = {"case_sensitive": True, "no_punct": True}
    yield against("ter", "TER case, no punctuation", strict, TER(**strict), found["wmt 1"].first(100))


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
            shown = " ".join([kind.replace("rouge", "ROUGE-"), *(["stemmed"] if "use_stemmer" in parameters else []),
                              *(["char"] if tokenizer else [])])  # fmt: skip
            yield Row(shown, data.name, ours(kind, dict(parameters), data.samples()), mean, by, 1e-9)


def meteor(found: dict[str, Texts], wordnet: Path | None) -> Iterator[Row]:
    """Compare METEOR with nltk, with synonyms where there is a WordNet."""
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.tokenize import NLTKWordTokenizer, WordPunctTokenizer
    from nltk.translate.meteor_score import meteor_score

    from evalharness.metric.wordnet import install_wordnet

    by = f"nltk {version('nltk')}"
    splits: dict[str, Callable[[str], list[str]]] = {
        "treebank": NLTKWordTokenizer().tokenize, "wordpunct": WordPunctTokenizer().tokenize,
        "whitespace": str.split, "char": lambda text: [c for c in text if not c.isspace()],
    }  # fmt: skip

    def rows(reader: Any, cases: list[tuple[str, str]], synonyms: bool) -> Iterator[Row]:
        for key, name in cases:
            data, split = found[key], splits[name]
            scores = [meteor_score([split(r) for r in refs], split(a), wordnet=reader) for a, refs in data.pairs]
            parameters = {"synonyms": synonyms, "tokenizer": name}
            shown = f"METEOR {name}{'' if synonyms else ', no synonyms'}"
            yield Row(
                shown, data.name, ours("meteor", parameters, data.samples()), 100 * float(np.mean(scores)), by, 1e-9
            )

    class Nothing:
        def synsets(self, _word: str) -> list[Any]:
            return []

    yield from rows(Nothing(), [("wmt 0", "treebank"), ("zh", "char"), ("edge", "treebank")], False)
    if wordnet is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EVALHARNESS_DATA_HOME"] = folder
        installed = install_wordnet(wordnet)
        nltk.data.path.insert(0, str(installed.parents[1]))
        WordNetCorpusReader.map_wn = lambda _self, _version="wordnet": None  # wants files that Debian leaves out
        reader = WordNetCorpusReader(nltk.data.FileSystemPathPointer(str(installed)), None)
        cases = [("gsm8k", name) for name in ("treebank", "wordpunct", "whitespace")]
        yield from rows(
            reader, [*cases, ("several", "treebank"), ("edge", "treebank"), ("identical", "treebank")], True
        )


def matches(found: dict[str, Texts], scripts: dict[str, Any]) -> Iterator[Row]:
    """Compare matches and error rates with Python, the official scripts and jiwer."""
    import jiwer

    for key in ("java-cs", "cs-java", "gsm8k numbers", "edge"):
        data = found[key]
        share = float(np.mean([any(answer == ref for ref in refs) for answer, refs in data.pairs]))
        yield Row("exact match", data.name, ours("exact_match", {}, data.samples()), share, "== in Python", 0.0)
    for shown, name, by, score in (
        ("token F1", "token_f1", "squad", lambda module, a, r: module.compute_f1(r, a)),
        ("character F1", "character_f1", "mlqa", lambda module, a, r: module.f1_score(a, r, "zh")),
    ):
        if by in scripts:
            for key in ("wmt 0", "several", "gsm8k", "zh", "edge", "identical"):
                data = found[key]
                mean = float(np.mean([max(score(scripts[by], a, r) for r in refs) for a, refs in data.pairs]))
                yield Row(shown, data.name, ours(name, {}, data.samples()), mean, Path(scripts[by].__file__).name, 1e-9)
    by = f"jiwer {version('jiwer')}"
    for key in ("wmt 0", "java-cs", "gsm8k", "zh", "edge", "identical"):
        data = found[key]
        single = Texts(data.name, data.answers, [refs[:1] for refs in data.references])
        references = [refs[0] for refs in single.references]
        yield Row("WER", data.name, ours("wer", {}, single.samples()), jiwer.wer(references, data.answers), by, 1e-9)
        yield Row("CER", data.name, ours("cer", {}, single.samples()), jiwer.cer(references, data.answers), by, 1e-9)


def variety(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare distinct-n and repetition with their definitions."""
    from nltk.util import ngrams

    by = f"definition, n-grams by nltk {version('nltk')}"
    for key in ("wmt 0", "gsm8k", "edge"):
        data = found[key]
        tokens = [answer.split() for answer in data.answers]
        for n in (1, 2, 3):
            pooled = {gram for words in tokens for gram in ngrams(words, n)}
            expected = len(pooled) / sum(map(len, tokens))
            yield Row(f"distinct-{n}", data.name, ours("distinct_n", {"n": n}, data.samples()), expected, by, 1e-9)
        grams = [list(ngrams(words, 4)) for words in tokens]
        rates = [1 - len(set(some)) / len(some) if some else 0.0 for some in grams]
        mine = ours("repetition_rate", {}, data.samples())
        yield Row("repetition rate (seq-rep-4)", data.name, mine, float(np.mean(rates)), by, 1e-9)


def classes(data: Path) -> Iterator[Row]:
    """Compare classification, calibration and ranks with scikit-learn."""
    from sklearn import metrics
    from sklearn.calibration import calibration_curve

    by = f"scikit-learn {version('scikit-learn')}"
    rng = np.random.default_rng(20261121)
    targets = [row["target"] for row in lines(data / "bbh/sports_understanding.jsonl")]
    names, name = ["no", "yes", "maybe"], "BBH sports_understanding, drawn answers"
    answers = [t if rng.random() < 0.7 else str(rng.choice(names)) for t in targets]
    samples = [sample([a], [t]) for a, t in zip(answers, targets, strict=True)]
    for average in ("macro", "micro", "weighted"):
        expected = metrics.f1_score(targets, answers, average=average, labels=names)
        yield Row(f"F1 {average}", name, ours("f1", {"labels": names, "average": average}, samples), expected, by, 1e-9)
    parameters = {"labels": names, "average": "binary", "positive": "yes"}
    expected = metrics.f1_score([t == "yes" for t in targets], [a == "yes" for a in answers])
    yield Row("F1 binary", name, ours("f1", parameters, samples), expected, by, 1e-9)
    mine = ours("mcc", {"labels": names}, samples)
    yield Row("MCC", name, mine, metrics.matthews_corrcoef(targets, answers), by, 1e-9)

    name, correct = "BBH sports_understanding, drawn log-probabilities", np.array([names.index(t) for t in targets])
    logprobs = rng.normal(-6, 1.5, (len(targets), 3))
    logprobs[np.arange(len(targets)), correct] += 1.5
    probability = np.exp(logprobs) / np.exp(logprobs).sum(axis=1, keepdims=True)
    samples = [choice(row, int(at), names) for row, at in zip(logprobs, correct, strict=True)]
    taken = logprobs.argmax(axis=1)
    yield Row("accuracy", name, ours("accuracy", {}, samples), metrics.accuracy_score(correct, taken), by, 1e-9)
    for k in (1, 2):
        expected = metrics.top_k_accuracy_score(correct, logprobs, k=k, labels=[0, 1, 2])
        yield Row(f"top-{k} accuracy", name, ours("top_k_accuracy", {"k": k}, samples), expected, by, 1e-9)
    expected = metrics.brier_score_loss(correct, probability, labels=[0, 1, 2], scale_by_half=False)
    yield Row("Brier", name, ours("brier", {}, samples), expected, by, 1e-9)
    confidence, right = probability.max(axis=1), taken == correct
    share, mean = calibration_curve(right, confidence, n_bins=15)
    weights = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    expected = float((weights[weights > 0] * np.abs(share - mean)).sum() / len(targets))
    yield Row("ECE, 15 bins", name, ours("ece", {}, samples), expected, f"{by}, calibration_curve", 1e-9)
    for shown, metric, function in (
        ("AUROC", "auroc", metrics.roc_auc_score),
        ("AUPRC", "auprc", metrics.average_precision_score),
    ):
        expected = function(correct == 1, probability[:, 1])
        yield Row(shown, name, ours(metric, {"positive": "yes"}, samples), expected, by, 1e-9)


def repeats(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare metrics over repeats with all draws, counted one by one."""
    rng = np.random.default_rng(7)
    data, name = found["gsm8k numbers"], "GSM8K final numbers, 8 drawn repeats"
    drawn = [[refs[0] if rng.random() < p else str(rng.integers(20)) for _ in range(8)]
             for refs, p in zip(data.references, rng.random(len(data.answers)), strict=True)]  # fmt: skip
    samples = [sample(answers, refs) for answers, refs in zip(drawn, data.references, strict=True)]
    right = [[answer == refs[0] for answer in answers] for answers, refs in zip(drawn, data.references, strict=True)]
    for k in (1, 3, 8):
        counts = [sum(one) for one in right]
        product = [1.0 if 8 - c < k else 1 - np.prod(1 - k / np.arange(8 - c + 1, 9)) for c in counts]
        mine = ours("pass_at_k", {"k": k}, samples)
        yield Row(f"pass@{k}", name, mine, float(np.mean(product)), "product formula of Chen et al. 2021", 1e-9)
        draws = [np.mean([all(draw) for draw in itertools.combinations(one, k)]) for one in right]
        yield Row(f"pass^{k}", name, ours("pass_power_k", {"k": k}, samples), float(np.mean(draws)), "all draws", 1e-9)
        draws = [np.mean([max(draw) for draw in itertools.combinations(one, k)]) for one in right]
        yield Row(f"best-of-{k}", name, ours("best_of_k", {"k": k}, samples), float(np.mean(draws)), "all draws", 1e-9)
    voted = [max(answers, key=answers.count) == refs[0] for answers, refs in zip(drawn, data.references, strict=True)]
    yield Row("maj@8", name, ours("maj_at_k", {}, samples), float(np.mean(voted)), "votes counted by list.count", 1e-9)
    pairs = [np.mean([a == b for a, b in itertools.combinations(answers, 2)]) for answers in drawn]
    yield Row("agreement", name, ours("agreement", {}, samples), float(np.mean(pairs)), "all pairs", 1e-9)


def models(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare BERTScore and the adapter with their libraries."""
    import evaluate
    from bert_score import BERTScorer

    data = found["gsm8k"].first(100)
    scorer = BERTScorer(model_type=str(ENCODER), num_layers=2)
    scorer._tokenizer.model_max_length = scorer._model.config.max_position_embeddings
    several = scorer.score(data.answers, [list(refs) for refs in data.references])
    by = f"bert-score {version('bert-score')}"
    for part, scores in zip(("precision", "recall", "f1"), several, strict=True):
        parameters = {"model": str(ENCODER), "n_layers": 2, "part": part}
        mine = ours("bertscore", parameters, data.samples())
        yield Row(f"BERTScore {part}, bundled tiny encoder", data.name, mine, float(scores.double().mean()), by, 1e-6)
    data = found["java-cs"]
    expected = evaluate.load(str(MODULE)).compute(predictions=data.answers, references=[r[0] for r in data.references])
    mine = ours("evaluate", {"path": str(MODULE), "key": "share"}, data.samples())
    yield Row("evaluate module", data.name, mine, expected["share"], f"evaluate {version('evaluate')}", 1e-9)


def classifiers(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare what small random classifiers say of answers with transformers' own pipeline: a single text, a pair, a reward."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

    data, by = found["gsm8k"].first(100), f"transformers {version('transformers')}, text-classification pipeline"
    samples = [
        dataclasses.replace(one, prompt=answer[::-1]) for one, answer in zip(data.samples(), data.answers, strict=True)
    ]
    inputs = {
        "alone": [{"text": text} for text in data.answers],
        "pair": [{"text": text[::-1], "text_pair": text} for text in data.answers],
    }
    name, three = "classifier_probability", ("fine", "rude", "toxic")
    toxic = {"target_label": "toxic", "higher_is_better": False}
    both, one_label = toxic | {"text": "{{ prompt }}", "pair": "{{ answer }}"}, toxic | {"activation": "sigmoid"}
    cases: list[tuple[str, Path, tuple[str, ...], str, dict[str, Any], str, str]] = [
        ("softmax", ENCODER, three, name, toxic, "alone", "softmax"),
        ("softmax, pairs", ENCODER, three, name, both, "pair", "softmax"),
        ("sigmoid", ENCODER, ("fine", "toxic"), name, one_label, "alone", "sigmoid"),
        ("decoder, pairs", DECODER, ("LABEL_0",), "reward", {}, "pair", "none"),
    ]
    for shown, base, labels, name, parameters, given, activation in cases:
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(base, id2label=dict(enumerate(labels)))
        with tempfile.TemporaryDirectory() as folder:
            AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
            AutoTokenizer.from_pretrained(base).save_pretrained(folder)
            mine = ours(name, parameters, judged(build_metric(name, parameters, where="parity"), samples, folder))
            judge = pipeline(
                "text-classification", model=folder, device="cpu", top_k=None, function_to_apply=activation
            )
            longest = {"truncation": True, "max_length": config.max_position_embeddings}
            said = [
                {one["label"]: one["score"] for one in judge(text, **longest)}[labels[-1]] for text in inputs[given]
            ]
        yield Row(f"{name}, {shown}", data.name, mine, float(np.mean(said)), by, 1e-6)


def judged(metric: Any, samples: Sequence[Sample], folder: str) -> list[Sample]:
    """Return the samples with what the checkpoint answers to the metric's one question about each."""
    keys = [RequestKey("parity", str(i)) for i in range(len(samples))]
    asked = [dataclasses.replace(metric.requests(one)[0], key=key) for one, key in zip(samples, keys, strict=True)]
    backend = open_backend(ModelSpec(name="judge", path=folder, device="cpu"), EngineSettings())
    answers = {response.key: response for response in backend.run(asked)}
    return [
        dataclasses.replace(one, judgements={"parity": ((answers[key],),)})
        for one, key in zip(samples, keys, strict=True)
    ]


def script(path: Path) -> Any:
    """Import a Python file."""
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_").replace(".", "_"), path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""

    def number(x: float) -> str:
        return f"{x:.10g}"

    body = [
        f"| {r.metric} | {r.data} | {number(r.ours)} | {number(r.reference)} | {r.difference:.1e} | {r.by} |"
        for r in rows
    ]
    head = ["| metric | data | ours | reference | difference | reference by |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *body])


def write(rows: Sequence[Row]) -> None:
    """Put the table into the page, and the numbers into the report."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
    report = [{**row._asdict(), "difference": row.difference} for row in rows]
    REPORT.write_text(json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Run all comparisons; exit code 1 if one is beyond its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path)
    parser.add_argument("--squad", type=Path)
    parser.add_argument("--mlqa", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    scripts = {name: script(path) for name, path in (("squad", args.squad), ("mlqa", args.mlqa)) if path}
    found, begun = texts(args.data), time.perf_counter()
    sections = [overlap(found), recall(found), meteor(found, args.wordnet), matches(found, scripts), variety(found),
                classes(args.data), repeats(found), models(found), classifiers(found)]  # fmt: skip
    rows = []
    for row in itertools.chain(*sections):
        rows.append(row)
        print(table([row]).splitlines()[-1], flush=True)
    if args.write:
        write(rows)
    wide = [row for row in rows if not row.difference <= row.tolerance or not math.isfinite(row.ours)]
    print(f"{len(rows)} comparisons in {time.perf_counter() - begun:.0f} s; {len(wide)} beyond their tolerance")
    raise SystemExit(1 if wide else 0)


if __name__ == "__main__":
    main()
