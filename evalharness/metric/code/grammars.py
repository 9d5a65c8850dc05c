"""Which kinds of nodes move values about, in each language: the tables of the data flow.

The kinds are those of the current grammars. For Java, C#, Python, PHP, Go, Ruby and JavaScript the tables follow what the
extractors released with CodeBLEU were made for; where these named kinds that grammars no longer have, or left out
everyday constructs, the tables hold today's: see `FLOWS`. C, C++ and Rust had none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalharness.metric.code.languages import LanguageName
from evalharness.metric.code.syntax import Node


@dataclass(frozen=True, slots=True)
class Field:
    """The children that the grammar calls `name`."""

    name: str

    def of(self, node: Node) -> list[Node]:
        """Return those children of `node`."""
        return node.under(self.name)


@dataclass(frozen=True, slots=True)
class First:
    """The first child."""

    def of(self, node: Node) -> list[Node]:
        """Return that child of `node`."""
        return node.children[:1]


@dataclass(frozen=True, slots=True)
class Before:
    """The children before the keyword or sign `token`; all of them where there is none."""

    token: str

    def of(self, node: Node) -> list[Node]:
        """Return those children of `node`."""
        return node.children[: _place(node, self.token)]


@dataclass(frozen=True, slots=True)
class After:
    """The children without a field name after the keyword or sign `token`; none where there is none."""

    token: str

    def of(self, node: Node) -> list[Node]:
        """Return those children of `node`."""
        return [child for child in node.children[_place(node, self.token) + 1 :] if child.role is None]


def _place(node: Node, token: str) -> int:
    kinds = [child.kind for child in node.children]
    return kinds.index(token) if token in kinds else len(kinds)


Part = Field | First | Before | After

#: From the kind of a node to its two sides: what gets a value, and where the value comes from.
Sides = Mapping[str, tuple[Part, Part]]

_NAME_VALUE = (Field("name"), Field("value"))
_LEFT_RIGHT = (Field("left"), Field("right"))
_PATTERN_VALUE = (Field("pattern"), Field("value"))


@dataclass(frozen=True, slots=True)
class Flow:
    """What moves values in one language, by kinds of nodes.

    declarations: names that get their first value. assignments: names that get another one. updates: ``++`` and ``--``.
    branches: a condition and what depends on it; a child of a kind in `alternatives`, and what follows an ``else``, starts
    from the values before the branch. else_covers: with such an alternative, the values before do not outlive the branch.
    each: loops over a collection, with the names that run and the collection. loops: other loops.
    headers: kinds inside a loop that hold its parts. starts: what a loop does once, before it begins.
    first: kinds that come before their elder siblings, as the ``for`` of a comprehension does.
    names: kinds of tokens that are variables where they are first seen; every token is one once it got a value.
    pairs_items: an assignment of as many parts as it has targets gives each its own, but not a clause in `first`.
    """

    declarations: Sides = field(default_factory=dict)
    assignments: Sides = field(default_factory=dict)
    updates: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset({"if_statement"})
    alternatives: frozenset[str] = frozenset({"if_statement", "else_clause"})
    else_covers: bool = False
    each: Sides = field(default_factory=dict)
    loops: frozenset[str] = frozenset({"for_statement", "while_statement", "do_statement"})
    headers: frozenset[str] = frozenset()
    starts: frozenset[str] = frozenset()
    first: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset({"identifier"})
    pairs_items: bool = False


_C = Flow(
    declarations={
        "init_declarator": (Field("declarator"), Field("value")),
        "optional_parameter_declaration": (Field("declarator"), Field("default_value")),
    },
    assignments={"assignment_expression": _LEFT_RIGHT},
    updates=frozenset({"update_expression"}),
    each={"for_range_loop": (Field("declarator"), Field("right"))},
    starts=frozenset({"initializer"}),
)

#: Beyond the released extractors, and besides names that grammars have changed: ``do`` loops everywhere; C#'s prefix ``++``;
#: Python's ``:=`` and typed defaults; Go's ``:=``, ``--`` and ``range``; JavaScript's plain ``=``, ``let`` and
#: ``for``-``of``; PHP's pairs in ``foreach``; Ruby's ``while``.
FLOWS: dict[LanguageName, Flow] = {
    "c": _C,
    "cpp": _C,
    "csharp": Flow(
        declarations={"variable_declarator": (First(), After("="))},
        assignments={"assignment_expression": _LEFT_RIGHT},
        updates=frozenset({"postfix_unary_expression", "prefix_unary_expression"}),
        each={"foreach_statement": _LEFT_RIGHT},
        starts=frozenset({"initializer"}),
    ),
    "go": Flow(
        declarations={"var_spec": _NAME_VALUE, "const_spec": _NAME_VALUE},
        assignments={
            "assignment_statement": _LEFT_RIGHT,
            "short_var_declaration": _LEFT_RIGHT,
            "range_clause": _LEFT_RIGHT,
        },
        updates=frozenset({"inc_statement", "dec_statement"}),
        headers=frozenset({"for_clause"}),
        starts=frozenset({"initializer"}),
        pairs_items=True,
    ),
    "java": Flow(
        declarations={"variable_declarator": _NAME_VALUE},
        assignments={"assignment_expression": _LEFT_RIGHT},
        updates=frozenset({"update_expression"}),
        each={"enhanced_for_statement": _NAME_VALUE},
        starts=frozenset({"init"}),
    ),
    "javascript": Flow(
        declarations={"variable_declarator": _NAME_VALUE},
        assignments={
            "assignment_expression": _LEFT_RIGHT,
            "augmented_assignment_expression": _LEFT_RIGHT,
            "assignment_pattern": _LEFT_RIGHT,
        },
        updates=frozenset({"update_expression"}),
        each={"for_in_statement": _LEFT_RIGHT},
        starts=frozenset({"initializer"}),
        names=frozenset({"identifier", "shorthand_property_identifier_pattern"}),
    ),
    "php": Flow(
        declarations={
            "simple_parameter": (Field("name"), Field("default_value")),
            "static_variable_declaration": _NAME_VALUE,
        },
        assignments={"assignment_expression": _LEFT_RIGHT, "augmented_assignment_expression": _LEFT_RIGHT},
        updates=frozenset({"update_expression"}),
        alternatives=frozenset({"else_if_clause", "else_clause"}),
        each={"foreach_statement": (After("as"), Before("as"))},
        starts=frozenset({"initialize"}),
        names=frozenset({"variable_name"}),
    ),
    "python": Flow(
        declarations={"default_parameter": _NAME_VALUE, "typed_default_parameter": _NAME_VALUE},
        assignments={
            "assignment": _LEFT_RIGHT,
            "augmented_assignment": _LEFT_RIGHT,
            "for_in_clause": _LEFT_RIGHT,
            "named_expression": _NAME_VALUE,
        },
        alternatives=frozenset({"elif_clause", "else_clause"}),
        else_covers=True,
        each={"for_statement": _LEFT_RIGHT},
        loops=frozenset({"while_statement"}),
        first=frozenset({"for_in_clause"}),
        pairs_items=True,
    ),
    "ruby": Flow(
        declarations={"optional_parameter": _NAME_VALUE, "keyword_parameter": _NAME_VALUE},
        assignments={"assignment": _LEFT_RIGHT, "operator_assignment": _LEFT_RIGHT},
        branches=frozenset({"if", "unless", "elsif", "case"}),
        alternatives=frozenset({"elsif", "else", "when"}),
        each={"for": _PATTERN_VALUE},
        loops=frozenset({"while", "until", "while_modifier", "until_modifier"}),
        pairs_items=True,
    ),
    "rust": Flow(
        declarations={"let_declaration": _PATTERN_VALUE, "let_condition": _PATTERN_VALUE},
        assignments={"assignment_expression": _LEFT_RIGHT, "compound_assignment_expr": _LEFT_RIGHT},
        branches=frozenset({"if_expression", "match_block"}),
        alternatives=frozenset({"else_clause", "match_arm"}),
        each={"for_expression": _PATTERN_VALUE},
        loops=frozenset({"while_expression", "loop_expression"}),
    ),
}
