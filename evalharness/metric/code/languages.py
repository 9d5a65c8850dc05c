"""The programming languages that can be parsed, and their parsers."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

if TYPE_CHECKING:
    from tree_sitter import Parser

LanguageName = Literal["c", "cpp", "csharp", "go", "java", "javascript", "php", "python", "ruby", "rust"]

#: The distributions on the package index that hold the grammars; their modules are called the same, with underscores.
_GRAMMARS: dict[LanguageName, str] = {
    "c": "tree-sitter-c",
    "cpp": "tree-sitter-cpp",
    "csharp": "tree-sitter-c-sharp",
    "go": "tree-sitter-go",
    "java": "tree-sitter-java",
    "javascript": "tree-sitter-javascript",
    "php": "tree-sitter-php",
    "python": "tree-sitter-python",
    "ruby": "tree-sitter-ruby",
    "rust": "tree-sitter-rust",
}


def _installed(language: LanguageName) -> LanguageName:
    """Return `language`; raises ValueError, with the cure, if what parses it is not installed. Imports nothing."""
    for distribution in ("tree-sitter", _GRAMMARS[language]):
        if find_spec(distribution.replace("-", "_")) is None:
            raise ValueError(f"{distribution} is not installed; pip install 'evalharness[code]'")
    return language


#: A language whose parser is installed: a metric with this parameter is refused where it is built, not when it is used.
ParsedLanguage = Annotated[LanguageName, AfterValidator(_installed)]


def parser_versions(language: LanguageName) -> dict[str, str]:
    """Return the versions that decide what the trees of `language` look like, by distribution."""
    return {distribution: version(distribution) for distribution in ("tree-sitter", _GRAMMARS[language])}


def parser_of(language: LanguageName, text: str) -> Parser:
    """Return the parser for `text`; PHP without an opening tag is read as PHP, not as the page around it."""
    entry = "language"
    if language == "php":
        entry = "language_php" if "<?" in text else "language_php_only"
    return _parser(language, entry)


@lru_cache(maxsize=32)
def _parser(language: LanguageName, entry: str) -> Parser:
    from tree_sitter import Language, Parser

    grammar = import_module(_GRAMMARS[language].replace("-", "_"))
    return Parser(Language(getattr(grammar, entry)()))
