"""Compare CodeBLEU with the package codebleu 0.7.0 on released outputs of code translation (CodeXGLUE).

    python benchmarks/parity/codebleu.py --data DIR --peer-python PEER/bin/python --report FILE

DIR has java_to_csharp_test.jsonl and csharp_to_java_test.jsonl, a JSON object a line with `reference` and `prediction`
(github.com/microsoft/CodeXGLUE, Code-Code/code-to-code-trans: data/test.* and the outputs of a saved model). Run it with the
Python that has evalharness[code]; `--peer-python` is one with

    pip install --no-deps codebleu==0.7.0 && pip install tree-sitter==V tree-sitter-java==V tree-sitter-c-sharp==V

in the versions of constraints.txt, so that both sides see the same trees. The package cannot be installed together with
them otherwise: it asks for tree-sitter below 0.23, and fails with the grammars that come with it.

Compared are the n-gram parts and the AST part, which must be equal, the AST also document by document; and the data flow of
every text, which is not: the package loses the order of sources, and its tables name kinds of nodes that grammars no longer
have. So its slips are mended one after the other (MENDS in codebleu_peer.py), each with its effect on the value, until every
flow of every text is equal. Exit code 1 if one is not, or another part differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from codebleu_peer import MENDS, VERSIONS

from evalharness.metric.base import SumMetric
from evalharness.metric.code.flow import flow_of
from evalharness.metric.code.languages import LanguageName, parser_versions
from evalharness.metric.registry import build_metric
from evalharness.request import Document, Generated, RequestKey, Sample

DIRECTIONS: dict[str, LanguageName] = {"java_to_csharp": "csharp", "csharp_to_java": "java"}

#: The package's names of the parts, by ours.
PARTS = {
    "codebleu": "codebleu",
    "codebleu_ngram": "ngram_match_score",
    "codebleu_weighted_ngram": "weighted_ngram_match_score",
    "codebleu_ast": "syntax_match_score",
    "codebleu_dataflow": "dataflow_match_score",
}

#: Both sides count the same whole numbers; they add logarithms and weights in another order.
TOLERANCE = 1e-9

#: The package as released gives another data flow in every process; so many processes show how far it moves.
SEEDS = (0, 1, 2, 3)

Flow = list[list[Any]]


@dataclass(frozen=True)
class Corpus:
    """The outputs of one direction."""

    name: str
    language: LanguageName
    answers: list[str]
    references: list[str]


@dataclass(frozen=True)
class Ours:
    """What evalharness finds: values of the corpus, AST shares and numbered flows of every document."""

    values: dict[str, float]
    ast: list[float]
    flows: list[tuple[Flow, Flow]]
    seconds: float


def main() -> int:
    """Measure both sides, print the table, write the report."""
    args = _arguments()
    report = {
        "versions": {**_our_versions(), **{f"peer_{name}": None for name in VERSIONS}},
        "tolerance": TOLERANCE,
        "directions": {},
    }
    for name, language in DIRECTIONS.items():
        corpus = _read(args.data / f"{name}_test.jsonl", name, language, args.limit)
        found, versions = compare(corpus, args.peer_python)
        report["directions"][name] = found
        report["versions"].update({f"peer_{key}": value for key, value in versions.items()})
    report["agrees"] = all(found["agrees"] for found in report["directions"].values())
    print(table(report))
    if args.report:
        args.report.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return 0 if report["agrees"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer = os.environ.get("EVALHARNESS_PEER_PYTHON", sys.executable)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with the two files of outputs")
    add("--peer-python", type=Path, default=Path(peer), help="default: $EVALHARNESS_PEER_PYTHON, else this Python")
    add("--limit", type=int, help="documents a direction (default: all)")
    add("--report", type=Path, help="write the comparison to this JSON file")
    return parser.parse_args()


def _our_versions() -> dict[str, str]:
    return {name: version for language in DIRECTIONS.values() for name, version in parser_versions(language).items()}


def _read(path: Path, name: str, language: LanguageName, limit: int | None) -> Corpus:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:limit]
    return Corpus(name, language, [row["prediction"] for row in rows], [row["reference"] for row in rows])


def compare(corpus: Corpus, peer_python: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the comparison of one direction, and the versions of the other side."""
    ours = measure(corpus)
    released = [ask(peer_python, corpus, (), seed) for seed in SEEDS]
    stages = {}
    for n in range(1, len(MENDS) + 1):
        mends = tuple(MENDS)[:n]
        theirs = ask(peer_python, corpus, mends, 0)
        stages[mends[-1]] = {
            "codebleu_dataflow": theirs["corpus"]["dataflow_match_score"],
            "n_flows_differ": _n_flows_differ(ours, theirs),
        }
    mended = {name: theirs["corpus"][there] for name, there in PARTS.items()}
    differences = {name: abs(ours.values[name] - mended[name]) for name in PARTS}
    n_trees_differ = sum(
        abs(share - there["ast"]) > TOLERANCE for share, there in zip(ours.ast, theirs["documents"], strict=True)
    )
    found = {
        "n_documents": len(corpus.answers),
        "ours": ours.values,
        "seconds_per_1000": 1000 * ours.seconds / len(corpus.answers),
        "released": {name: sorted({run["corpus"][theirs] for run in released}) for name, theirs in PARTS.items()},
        "released_n_flows_differ": sorted(_n_flows_differ(ours, run) for run in released),
        "mended": mended,
        "mended_up_to": stages,
        "difference_when_mended": differences,
        "n_ast_differ": n_trees_differ,
        "agrees": max(differences.values()) <= TOLERANCE
        and n_trees_differ == 0
        and list(stages.values())[-1]["n_flows_differ"] == 0,
    }
    return found, theirs["versions"]


def measure(corpus: Corpus) -> Ours:
    """Score `corpus` with evalharness's own metrics."""
    metrics = {name: _metric(name, corpus.language) for name in PARTS}
    samples = [_sample(answer, reference) for answer, reference in zip(corpus.answers, corpus.references, strict=True)]
    start = perf_counter()
    rows = {name: np.array([metric.row(sample) for sample in samples]) for name, metric in metrics.items()}
    seconds = perf_counter() - start
    return Ours(
        {name: float(metrics[name].value(rows[name].sum(axis=0))) for name in PARTS},
        [float(share) for share in metrics["codebleu_ast"].value(rows["codebleu_ast"])],
        [
            (_flow(corpus.language, answer), _flow(corpus.language, reference))
            for answer, reference in zip(corpus.answers, corpus.references, strict=True)
        ],
        seconds,
    )


def _metric(name: str, language: LanguageName) -> SumMetric:
    built = build_metric(name, {} if name == "codebleu_ngram" else {"language": language}, where="parity")
    if not isinstance(built, SumMetric):
        raise TypeError(f"{name} is no sum of rows")
    return built


def _sample(answer: str, reference: str) -> Sample:
    key = RequestKey("parity", "document")
    return Sample(
        "parity",
        Document("document", {}, ""),
        "",
        references=(reference,),
        responses=((Generated(key, answer, 1, "eos"),),),
        input_hash="",
        answers=(answer,),
    )


def _flow(language: LanguageName, text: str) -> Flow:
    """Return the flow as the package writes it."""
    return [
        [f"var_{edge.variable}", edge.relation, [f"var_{source}" for source in edge.sources]]
        for edge in flow_of(language, text.strip())
    ]


def ask(peer_python: Path, corpus: Corpus, mends: Sequence[str], seed: int) -> dict[str, Any]:
    """Let the package measure `corpus` in a process of its own."""
    request = {
        "language": corpus.language,
        "answers": corpus.answers,
        "references": corpus.references,
        "mends": list(mends),
    }
    done = subprocess.run(
        [str(peer_python), "-P", str(Path(__file__).with_name("codebleu_peer.py"))],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _n_flows_differ(ours: Ours, theirs: Mapping[str, Any]) -> int:
    return sum(
        mine != there
        for flows, document in zip(ours.flows, theirs["documents"], strict=True)
        for mine, there in zip(flows, (document["answer_flow"], document["reference_flow"]), strict=True)
    )


def table(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    lines: list[str] = []
    for name, found in report["directions"].items():
        lines += [
            f"### {name}: {found['n_documents']} documents, {found['seconds_per_1000']:.2f} s per 1000 for all five metrics",
            "",
            "| metric | evalharness | codebleu 0.7.0, mended | difference | as released, 4 processes |",
            "| --- | --- | --- | --- | --- |",
        ]
        for metric, value in found["ours"].items():
            gap, spread = found["difference_when_mended"][metric], found["released"][metric]
            shown = f"{spread[0]:.6f}" if spread[0] == spread[-1] else f"{spread[0]:.6f} to {spread[-1]:.6f}"
            mended = found["mended"][metric]
            lines.append(f"| `{metric}` | {value:.6f} | {mended:.6f} | {gap:.1e} | {shown} |")
        texts = 2 * found["n_documents"]
        lines += ["", f"| mended, up to | data flow | flows that differ, of {texts} |", "| --- | --- | --- |"]
        lowest, highest = found["released"]["codebleu_dataflow"][0], found["released"]["codebleu_dataflow"][-1]
        counts = found["released_n_flows_differ"]
        lines.append(f"| nothing | {lowest:.6f} to {highest:.6f} | {counts[0]} to {counts[-1]} |")
        lines += [
            f"| {mend} | {stage['codebleu_dataflow']:.6f} | {stage['n_flows_differ']} |"
            for mend, stage in found["mended_up_to"].items()
        ]
        lines += ["", f"syntax trees that differ: {found['n_ast_differ']} of {found['n_documents']}", ""]
    return "\n".join([*lines, "all agree" if report["agrees"] else "THERE ARE DIFFERENCES"])


if __name__ == "__main__":
    sys.exit(main())
