"""The data flow of a text: for every token that carries a value, the earlier tokens that the value comes from.

Ren et al. 2020 (CodeBLEU), section 3.3, after Guo et al. 2020 (GraphCodeBERT). The walk is abstract: it takes every branch,
and every loop twice, so that what the end of a loop's body sets is known at its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from evalharness.metric.code.grammars import FLOWS, Flow, Part
from evalharness.metric.code.languages import LanguageName
from evalharness.metric.code.syntax import Node, syntax_of

Relation = Literal["comesFrom", "computedFrom"]

#: Below this many levels, code is read as a mere list of tokens: no written code nests so deep, but a model that repeats
#: itself does, and the walk must end.
_MAX_DEPTH = 120

#: Loops inside this many others are walked once: 2 to the power of their number would not end either.
_MAX_LOOPS = 5


@dataclass(frozen=True, slots=True)
class Edge:
    """A variable, how it got its value, and the variables of that value; all by number, in order of appearance."""

    variable: int
    relation: Relation
    sources: tuple[int, ...]


@lru_cache(maxsize=256)  # the metrics of one sample share their texts
def flow_of(language: LanguageName, text: str) -> tuple[Edge, ...]:
    """Return the edges of `text` in the order of their tokens, with numbers in place of the variables' names."""
    walk = _Walk(FLOWS[language])
    walk.visit(syntax_of(language, text).root)
    return tuple(_numbered(walk.finished()))


def _numbered(tokens: Iterable[_Token]) -> Iterable[Edge]:
    numbers: dict[str, int] = {}
    for token in tokens:
        sources = tuple(numbers.setdefault(name, len(numbers)) for name in token.sources)
        yield Edge(numbers.setdefault(token.name, len(numbers)), token.relation, sources)


@dataclass(slots=True)
class _Token:
    """What is known of the token at one position. sources, positions: names and places of what its values come from."""

    name: str
    relation: Relation
    sources: list[str]
    positions: list[int]


class _Walk:
    """One walk over a tree. values: the positions at which each variable may have got the value that it has now."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._values: dict[str, list[int]] = {}
        self._tokens: dict[int, _Token] = {}
        self._depth = 0
        self._n_loops = 0
        self._handlers: dict[str, Callable[[Node], None]] = {
            **dict.fromkeys(flow.declarations, self._declaration),
            **dict.fromkeys(flow.assignments, self._assignment),
            **dict.fromkeys(flow.updates, self._update),
            **dict.fromkeys(flow.branches, self._branch),
            **dict.fromkeys(flow.loops, self._loop),
            **dict.fromkeys(flow.each, self._each),
        }

    def finished(self) -> list[_Token]:
        """Return, in order, the tokens whose values come from others or are what others come from."""
        linked = {position for position, token in self._tokens.items() if token.positions}
        linked |= {source for token in self._tokens.values() for source in token.positions}
        return [self._tokens[position] for position in sorted(linked & self._tokens.keys())]

    def visit(self, node: Node) -> None:
        """Walk a node in the order in which it runs."""
        if not node.children:
            self._use(node)
        elif self._depth >= _MAX_DEPTH:
            for token in node.tokens():
                self._use(token)
        else:
            self._depth += 1
            self._handlers.get(node.kind, self._sequence)(node)
            self._depth -= 1

    def _visit_all(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.visit(node)

    def _use(self, token: Node) -> None:
        name = token.text
        if not name or token.is_keyword:
            return
        if name in self._values:
            self._note(token, "comesFrom", [name], self._values[name])
        else:
            if token.kind in self._flow.names:
                self._values[name] = [token.position]
            self._note(token, "comesFrom", [], [])

    def _note(self, token: Node, relation: Relation, sources: list[str], positions: list[int]) -> None:
        known = self._tokens.get(token.position)
        if known is None:
            self._tokens[token.position] = _Token(token.text, relation, sources, positions)
        else:  # met again, in the second round of a loop
            known.sources = list(dict.fromkeys([*known.sources, *sources]))
            known.positions = list(dict.fromkeys([*known.positions, *positions]))

    def _set(self, targets: list[Node], sources: list[Node], relation: Relation, *, is_bare: bool) -> None:
        """Give every target token a value from every source token; without sources, an edge only if `is_bare`."""
        names, positions = [token.text for token in sources], [token.position for token in sources]
        if not self._flow.pairs_items:
            names = list(dict.fromkeys(names))
        for target in targets:
            if names or is_bare:
                self._note(target, relation, names, positions)
            self._values[target.text] = [target.position]

    def _sequence(self, node: Node) -> None:
        first = self._flow.first
        self._visit_all(child for child in node.children if child.kind in first)
        self._visit_all(child for child in node.children if child.kind not in first)

    def _declaration(self, node: Node) -> None:
        targets, sources = (part.of(node) for part in self._flow.declarations[node.kind])
        self._visit_all(sources)
        self._set(_tokens(targets), _tokens(sources), "comesFrom", is_bare=not sources)

    def _assignment(self, node: Node) -> None:
        self._assign(node, *self._flow.assignments[node.kind])

    def _assign(self, node: Node, left: Part, right: Part) -> None:
        targets, sources = left.of(node), right.of(node)
        if not sources:  # a mere annotation
            return
        self._visit_all(sources)
        pairs = [(targets, sources)]
        if self._flow.pairs_items and node.kind not in self._flow.first:
            items = _items(targets), _items(sources)
            if len(items[0]) == len(items[1]):
                pairs = [([target], [source]) for target, source in zip(*items, strict=True)]
        for target, source in pairs:
            self._set(_tokens(target), _tokens(source), "computedFrom", is_bare=self._flow.pairs_items)

    def _update(self, node: Node) -> None:
        """Compute a variable from itself; an operator other than ``++`` and ``--`` is none that sets anything."""
        if any(child.kind in ("++", "--") for child in node.children):
            tokens = node.tokens()
            self._set(tokens, tokens, "computedFrom", is_bare=False)
        else:
            self._sequence(node)

    def _branch(self, node: Node) -> None:
        before, ends = self._values, []
        self._values = dict(before)
        is_covered = has_else = False
        for child in node.children:
            if has_else or child.kind in self._flow.alternatives:
                going, self._values = self._values, dict(before)
                self.visit(child)
                ends.append(self._values)
                self._values = going
            else:
                self.visit(child)
            has_else = has_else or child.kind == "else"
            is_covered = is_covered or (self._flow.else_covers and child.kind == "else_clause")
        self._values = _either([*ends, self._values, *([] if is_covered else [before])])

    def _loop(self, node: Node) -> None:
        parts: list[Node] = []
        for child in node.children:
            parts.extend(child.children if child.kind in self._flow.headers else [child])
        self._visit_all(part for part in parts if part.role in self._flow.starts)
        again = [part for part in parts if part.role not in self._flow.starts]
        self._rounds(lambda: self._visit_all(again))

    def _each(self, node: Node) -> None:
        names, values = self._flow.each[node.kind]
        inside = [*node.under("body"), *node.under("alternative")]

        def once() -> None:
            self._assign(node, names, values)
            self._visit_all(inside)

        self._rounds(once)

    def _rounds(self, once: Callable[[], None]) -> None:
        self._n_loops += 1
        for _ in range(2 if self._n_loops <= _MAX_LOOPS else 1):
            once()
        self._n_loops -= 1


def _tokens(nodes: Sequence[Node]) -> list[Node]:
    return [token for node in nodes for token in node.tokens()]


def _items(nodes: list[Node]) -> list[Node]:
    """Return the parts of a single node, be it a tuple or, as in the released extractors, an access or a call."""
    if len(nodes) != 1 or not nodes[0].children:
        return nodes
    return [child for child in nodes[0].children if child.kind != ","]


def _either(ends: Iterable[dict[str, list[int]]]) -> dict[str, list[int]]:
    """Return where each variable's value may come from, if any of the ends may have been reached."""
    found: dict[str, set[int]] = {}
    for end in ends:
        for name, positions in end.items():
            found.setdefault(name, set()).update(positions)
    return {name: sorted(positions) for name, positions in found.items()}
