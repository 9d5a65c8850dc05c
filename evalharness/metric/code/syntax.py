"""The syntax tree of a text: fingerprints of its subtrees, and a light copy of its nodes for the data flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from evalharness.metric.code.languages import LanguageName, parser_of

if TYPE_CHECKING:
    from tree_sitter import Node as ParsedNode

#: What the tree is read without: comments, and the backslash at the end of a line.
_SKIPPED = frozenset({"comment", "line_comment", "block_comment", "html_comment", "line_continuation"})
_STRINGS = frozenset({"string", "concatenated_string"})

#: What the data flow takes as one token: literals, quotes and all; in PHP a variable with its dollar.
_ATOMS = frozenset(
    {
        "char_literal",
        "character_literal",
        "interpreted_string_literal",
        "raw_string_literal",
        "rune_literal",
        "string",
        "string_literal",
        "variable_name",
    }
)


@dataclass(slots=True)
class Node:
    """A node of a tree without comments. A token has a text and no children; position counts tokens in their order.

    role: what the grammar calls the node in its parent, such as ``left``.
    """

    kind: str
    role: str | None
    text: str = ""
    position: int = 0
    children: list[Node] = field(default_factory=list)

    @property
    def is_keyword(self) -> bool:
        """Whether this is a word or a sign of the language itself."""
        return self.text == self.kind

    def under(self, name: str) -> list[Node]:
        """Return the children that the grammar calls `name`."""
        return [child for child in self.children if child.role == name]

    def tokens(self) -> list[Node]:
        """Return the tokens of this node, in order, but keywords and signs."""
        found, waiting = [], [self]
        while waiting:
            node = waiting.pop()
            if node.children:
                waiting.extend(reversed(node.children))
            elif node.text and not node.is_keyword:
                found.append(node)
        return found


@dataclass(frozen=True, slots=True)
class Syntax:
    """What a text parses to.

    subtrees: a fingerprint of every node that has children, and of the root. Two are equal where kinds, order and field
    names of all named nodes are, whatever names and values the text gives them.
    """

    root: Node
    subtrees: tuple[bytes, ...]


@lru_cache(maxsize=256)  # the metrics of one sample share their texts
def syntax_of(language: LanguageName, text: str) -> Syntax:
    """Parse `text`, and leave out comments and Python's docstrings. Any text has a tree, however wrong it is as code.

    The walk is a loop, since a tree can be as deep as its text is long.
    """
    source = text.encode("utf-8", errors="replace")
    cursor = parser_of(language, text).parse(source).walk()
    reading = _Reading(language, source)
    reading.open(cursor.node, None)
    while True:
        if cursor.goto_first_child():
            reading.open(cursor.node, cursor.field_name)
            continue
        reading.close()
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return Syntax(reading.root, tuple(reading.subtrees))
            reading.close()
        reading.open(cursor.node, cursor.field_name)


class _Open:
    """A node that is being read.

    shape: kind and children, as its fingerprint knows them. n_subtrees: how many subtrees were read before it.
    """

    __slots__ = ("has_children", "n_subtrees", "node", "parsed", "shape")

    def __init__(self, parsed: ParsedNode, node: Node, n_subtrees: int) -> None:
        self.parsed = parsed
        self.node = node
        self.n_subtrees = n_subtrees
        self.shape = [parsed.type.encode()]
        self.has_children = False


class _Reading:
    """The tree that was read so far: `open` enters a node, `close` leaves it with all its children known."""

    def __init__(self, language: LanguageName, source: bytes) -> None:
        self.root = Node("", None)
        self.subtrees: list[bytes] = []
        self._language = language
        self._source = source
        self._path: list[_Open] = []
        self._n_tokens = 0

    def open(self, parsed: ParsedNode | None, name: str | None) -> None:
        if parsed is not None:  # a cursor always stands on a node; its type does not say so
            self._path.append(_Open(parsed, Node(parsed.type, name), len(self.subtrees)))

    def close(self) -> None:
        closed = self._path.pop()
        node, parsed = closed.node, closed.parsed
        if node.kind in _SKIPPED or self._is_docstring(node):
            del self.subtrees[closed.n_subtrees :]  # those below it
            return
        if not closed.has_children or node.kind in _ATOMS:
            self._n_tokens += 1
            node.position = self._n_tokens
            node.text = self._source[parsed.start_byte : parsed.end_byte].decode("utf-8", errors="replace")
            node.children = []
        fingerprint = self._fingerprint(closed)
        if closed.has_children or not self._path:
            self.subtrees.append(fingerprint)
        if not self._path:
            self.root = node
            return
        parent = self._path[-1]
        parent.has_children = True
        if not parsed.is_missing:  # the parser wished for it; the text does not have it
            parent.node.children.append(node)
        if parsed.is_named or parsed.is_missing:
            parent.shape.append(b"%s:%s" % ((node.role or "").encode(), fingerprint))

    def _is_docstring(self, node: Node) -> bool:
        """Whether this is a statement of Python that is nothing but a string, as documentation is."""
        return (
            self._language == "python"
            and node.kind == "expression_statement"
            and all(child.kind in _STRINGS for child in node.children)
        )

    @staticmethod
    def _fingerprint(closed: _Open) -> bytes:
        if closed.has_children:
            return blake2b(b"\0".join(closed.shape), digest_size=16).digest()
        if closed.parsed.is_missing or closed.parsed.is_error:
            return str(closed.parsed).encode()  # also says what is missing, or which sign fits nowhere
        return closed.shape[0]
