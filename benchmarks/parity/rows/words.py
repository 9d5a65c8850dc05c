"""METEOR by nltk, matches and error rates by official scripts and jiwer, variety by its definitions."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rows.row import Row, ours
from rows.texts import Texts


def meteor(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare METEOR without synonyms with nltk."""

    class Nothing:
        def synsets(self, _word: str) -> list[Any]:
            return []

    cases = [("wmt 0", "treebank"), ("zh", "char"), ("edge", "treebank")]
    yield from _meteor(found, Nothing(), cases, synonyms=False)


def meteor_with_synonyms(found: dict[str, Texts], wordnet: Path) -> Iterator[Row]:
    """Compare METEOR with nltk, with a WordNet."""
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    from evalharness.metric.wordnet import install_wordnet

    with tempfile.TemporaryDirectory() as folder:
        os.environ["EVALHARNESS_DATA_HOME"] = folder
        installed = install_wordnet(wordnet)
        nltk.data.path.insert(0, str(installed.parents[1]))
        WordNetCorpusReader.map_wn = lambda _self, _version="wordnet": None  # wants files that Debian leaves out
        reader = WordNetCorpusReader(nltk.data.FileSystemPathPointer(str(installed)), None)
        cases = [("gsm8k", name) for name in ("treebank", "wordpunct", "whitespace")]
        cases += [(key, "treebank") for key in ("several", "edge", "identical")]
        yield from _meteor(found, reader, cases, synonyms=True)


def _meteor(found: dict[str, Texts], reader: Any, cases: list[tuple[str, str]], *, synonyms: bool) -> Iterator[Row]:
    from nltk.tokenize import NLTKWordTokenizer, WordPunctTokenizer
    from nltk.translate.meteor_score import meteor_score

    splits: dict[str, Callable[[str], list[str]]] = {
        "treebank": NLTKWordTokenizer().tokenize, "wordpunct": WordPunctTokenizer().tokenize,
        "whitespace": str.split, "char": lambda text: [c for c in text if not c.isspace()],
    }  # fmt: skip
    for key, name in cases:
        data, split = found[key], splits[name]
        scores = [meteor_score([split(r) for r in refs], split(a), wordnet=reader) for a, refs in data.pairs]
        mine = ours("meteor", {"synonyms": synonyms, "tokenizer": name}, data.samples())
        setting = name if synonyms else f"{name}, no synonyms"
        yield Row("meteor", setting, data.name, mine, 100 * float(np.mean(scores)), f"nltk {version('nltk')}")


def matches(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare exact match with Python, and error rates with jiwer."""
    import jiwer

    for key in ("java-cs", "cs-java", "gsm8k numbers", "edge"):
        data = found[key]
        share = float(np.mean([any(answer == ref for ref in refs) for answer, refs in data.pairs]))
        yield Row("exact_match", "", data.name, ours("exact_match", {}, data.samples()), share, "== in Python", 0.0)
    by = f"jiwer {version('jiwer')}"
    for key in ("wmt 0", "java-cs", "gsm8k", "zh", "edge", "identical"):
        data = found[key]
        single = Texts(data.name, data.answers, [refs[:1] for refs in data.references])
        references = [refs[0] for refs in single.references]
        for name, rate in (("wer", jiwer.wer), ("cer", jiwer.cer)):
            yield Row(name, "", data.name, ours(name, {}, single.samples()), rate(references, data.answers), by)


def squad(found: dict[str, Texts], path: Path) -> Iterator[Row]:
    """Compare token F1 with SQuAD's official script."""
    module = _script(path)
    return _f1(found, "token_f1", lambda answer, reference: module.compute_f1(reference, answer), path.name)


def mlqa(found: dict[str, Texts], path: Path) -> Iterator[Row]:
    """Compare character F1 with MLQA's official script."""
    module = _script(path)
    return _f1(found, "character_f1", lambda answer, reference: module.f1_score(answer, reference, "zh"), path.name)


def _f1(found: dict[str, Texts], name: str, score: Callable[[str, str], float], by: str) -> Iterator[Row]:
    for key in ("wmt 0", "several", "gsm8k", "zh", "edge", "identical"):
        data = found[key]
        mean = float(np.mean([max(score(answer, ref) for ref in refs) for answer, refs in data.pairs]))
        yield Row(name, "", data.name, ours(name, {}, data.samples()), mean, by)


def _script(path: Path) -> Any:
    """Import a Python file."""
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_").replace(".", "_"), path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
            yield Row("distinct_n", f"n={n}", data.name, ours("distinct_n", {"n": n}, data.samples()), expected, by)
        grams = [list(ngrams(words, 4)) for words in tokens]
        rates = [1 - len(set(some)) / len(some) if some else 0.0 for some in grams]
        mine = ours("repetition_rate", {}, data.samples())
        yield Row("repetition_rate", "n=4", data.name, mine, float(np.mean(rates)), by)
