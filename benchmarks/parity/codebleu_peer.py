"""The other side of codebleu.py: the package codebleu 0.7.0, as released or with named slips mended.

Run by its own Python with `-P`, so that `import codebleu` finds the package and not the script of that name. Reads
``{language, answers, references, mends}`` from standard input, and writes what the package finds to standard output. Mends
are made in a temporary copy; what is installed stays as it is.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: What is mended, by name: file of the package, its text, and the text in its place. Order matters to no one but readers.
MENDS: dict[str, list[tuple[str, str, str]]] = {
    # Sets lost the order of a variable's sources, and with it the match of equal edges, differently in every process.
    "order": [
        ("dataflow_match.py", "list(set(", "list(dict.fromkeys("),
        ("parser/DFG.py", "list(set(", "list(dict.fromkeys("),
    ],
    # Today's grammar gives a declarator of C# three children, `=` among them; the package expects two, and takes no notice
    # of the value.
    "declarator": [
        (
            "parser/DFG.py",
            "if len(root_node.children) == 2:",
            "if any(child.type == '=' for child in root_node.children):",
        ),
        ("parser/DFG.py", "value = root_node.children[1]\n", "value = root_node.children[-1]\n"),
    ],
    # The kind is called foreach_statement now.
    "foreach": [("parser/DFG.py", '"for_each_statement"', '"foreach_statement"')],
    # A loop was walked twice only after a declaration, and in C# after one of a kind that the grammar does not have.
    "for": [
        ("parser/DFG.py", 'child.type == "local_variable_declaration"', "child.type in STARTS"),
        (
            "parser/DFG.py",
            "flag = False\n        for child in root_node.children:\n            if flag:",
            "flag = not any(child.type in STARTS for child in root_node.children)\n"
            "        for child in root_node.children:\n            if flag:",
        ),
        (
            "parser/DFG.py",
            "def DFG_python(",
            'STARTS = ("local_variable_declaration", "variable_declaration")\n\n\ndef DFG_python(',
        ),
    ],
    "do": [
        (
            "parser/DFG.py",
            'while_statement = ["while_statement"]',
            'while_statement = ["while_statement", "do_statement"]',
        )
    ],
    # `++x` is an update as `x++` is; `x!` is none.
    "prefix": [
        ("parser/DFG.py", '["postfix_unary_expression"]', '["postfix_unary_expression", "prefix_unary_expression"]'),
        (
            "parser/DFG.py",
            "elif root_node.type in increment_statement:",
            "elif root_node.type in increment_statement and any(x.type in ('++', '--') for x in root_node.children):",
        ),
    ],
    # A token that the parser missed in wrong code was a variable with an empty name.
    "missing": [
        ("parser/utils.py", "if root_node.type != code:", "if code and root_node.type != code:"),
        ("parser/DFG.py", "if root_node.type == code:", "if not code or root_node.type == code:"),
    ],
}

#: Their names of languages, by ours.
LANGUAGES = {"csharp": "c_sharp"}

VERSIONS = ("codebleu", "tree-sitter", "tree-sitter-c-sharp", "tree-sitter-java")


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as name:
        mend(Path(name), request["mends"])
        sys.path.insert(0, name)
        found = measured(request)
    json.dump(found, sys.stdout)


def mend(folder: Path, names: Sequence[str]) -> None:
    """Put a copy of the installed package into `folder`, with the named slips mended."""
    spec = importlib.util.find_spec("codebleu")
    if spec is None or spec.origin is None:
        raise SystemExit("codebleu is not installed in this Python; see benchmarks/parity/codebleu.py")
    package = folder / "codebleu"
    shutil.copytree(Path(spec.origin).parent, package)
    for name in names:
        for file, old, new in MENDS[name]:
            text = (package / file).read_text(encoding="utf-8")
            if old not in text:
                raise SystemExit(f"mend {name}: {file} has no {old!r}; is this codebleu 0.7.0?")
            (package / file).write_text(text.replace(old, new), encoding="utf-8")


def measured(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the corpus values, and for each document the AST share and the numbered flows of answer and reference."""
    package, syntax, flow = (
        importlib.import_module(f"codebleu{part}") for part in ("", ".syntax_match", ".dataflow_match")
    )
    tree_sitter = importlib.import_module("tree_sitter")
    language = LANGUAGES.get(request["language"], request["language"])
    grammar = importlib.import_module("codebleu.utils").get_tree_sitter_language(language)
    parser = [tree_sitter.Parser(grammar), flow.dfg_function[language]]
    answers, references = request["answers"], request["references"]
    documents = []
    for answer, reference in zip(answers, references, strict=True):
        flows = [
            flow.normalize_dataflow(flow.get_data_flow(bare(text, language), parser)) for text in (answer, reference)
        ]
        share = syntax.corpus_syntax_match([[reference.strip()]], [answer.strip()], language, grammar)
        documents.append({"ast": share, "answer_flow": flows[0], "reference_flow": flows[1]})
    return {
        "corpus": package.calc_codebleu(references, answers, language),
        "documents": documents,
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


def bare(text: str, language: str) -> str:
    """Return `text` as the package parses it: without comments, unless removing them fails."""
    try:
        stripped: str = importlib.import_module("codebleu.parser").remove_comments_and_docstrings(
            text.strip(), language
        )
    except Exception:  # noqa: BLE001  # as the package does
        return text.strip()
    return stripped


if __name__ == "__main__":
    main()
