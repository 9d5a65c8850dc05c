"""Rows for a task of lm-evaluation-harness, made up from its own templates and functions; used beside lm-eval only.

What a template does with a column says what it must be: ``choices.text`` is a mapping, ``choices[answer]`` a list and a number
that points into it, ``text.strip()`` a text. Python functions are read in the same way. Where that does not suffice, the
error that lm-eval raises says which column is missing, and other guesses are tried.
"""

from __future__ import annotations

import ast
import inspect
import random
from collections.abc import Iterator
from typing import Any, ClassVar

import jinja2
from jinja2 import nodes

TEXT_METHODS = {
    *("strip", "lstrip", "rstrip", "split", "lower", "upper", "replace", "format", "startswith", "endswith", "title"),
    *("capitalize", "find", "rfind", "splitlines", "join", "isdigit", "encode", "removeprefix", "removesuffix"),
}
SAME_TEXT = {"strip", "lstrip", "rstrip", "lower", "upper"}
LIST_METHODS = {"index", "append", "count", "sort", "extend"}
DICT_METHODS = {"items", "keys", "values", "get"}
WORDS = [
    "river",
    "stone",
    "Anna",
    "walks",
    "green",
    "seven",
    "markets",
    "under",
    "light",
    "Paris",
    "table",
    "quiet",
    "morning",
    "runs",
    "12",
    "blue",
    "3.5",
    "bread",
]


class Shape:
    """What a value must be. kind: text, number, list, dict, or None while unknown; values: what texts it may be."""

    def __init__(self) -> None:
        self.kind: str | None = None
        self.keys: dict[str, Shape] = {}
        self.item: Shape | None = None
        self.values: list[Any] = []
        self.points_into: Shape | int | None = None

    def key(self, name: str) -> Shape:
        """Make it a mapping with this key, and return the shape there."""
        self.kind = "dict"
        return self.keys.setdefault(name, Shape())

    def element(self) -> Shape:
        """Make it a list, and return the shape of its items."""
        if self.kind != "dict":
            self.kind = "list"
        self.item = self.item or Shape()
        return self.item

    def be(self, kind: str) -> None:
        """Make it of this kind, unless another is known."""
        self.kind = "digits" if (self.kind, kind) == ("number", "text") else self.kind or kind


class Template:
    """Reads the shapes of columns out of Jinja's syntax tree."""

    def __init__(self, columns: Shape) -> None:
        self.columns = columns
        self.local: dict[str, Shape] = {}

    def read(self, text: str) -> None:
        """Read a template."""
        try:
            tree = jinja2.Environment(autoescape=True).parse(text)
        except jinja2.TemplateError:
            return
        for node in tree.body:
            self.visit(node)

    def visit(self, node: nodes.Node) -> None:
        """Read a node and what is below it."""
        if isinstance(node, nodes.For):
            shape = self.shape(node.iter)
            if shape is not None and isinstance(node.target, nodes.Name):
                self.local[node.target.name] = shape.element()
            elif isinstance(node.target, nodes.Tuple) and isinstance(node.target.items[-1], nodes.Name):
                self.local[node.target.items[0].name] = Shape()
                inner = node.iter.args[0] if isinstance(node.iter, nodes.Call) and node.iter.args else node.iter
                found = self.shape(inner)
                self.local[node.target.items[-1].name] = found.element() if found else Shape()
        if isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
            self.local[node.target.name] = self.shape(node.node) or Shape()
        self.use(node)
        for child in node.iter_child_nodes():
            self.visit(child)

    def use(self, node: nodes.Node) -> None:  # noqa: C901  # one case a kind of node
        """Read what a node says of a value."""
        if isinstance(node, nodes.Compare):
            self.compare(node)
        elif isinstance(node, nodes.Filter) and node.node is not None:
            shape = self.shape(node.node)
            if shape is not None:
                attribute = next((k.value for k in node.kwargs if k.key == "attribute"), None)
                if node.name == "map" and isinstance(attribute, nodes.Const):
                    shape.element().key(attribute.value)
                elif node.name in ("join", "map", "first", "last", "list", "selectattr", "length"):
                    shape.element()
                elif node.name == "int":
                    shape.be("number")
        elif isinstance(node, nodes.Add | nodes.Sub | nodes.Mul):
            for side, other in ((node.left, node.right), (node.right, node.left)):
                shape = self.shape(side)
                if shape is not None and isinstance(other, nodes.Const) and isinstance(other.value, int):
                    shape.be("number")
        elif isinstance(node, nodes.Call):
            self.call(node)
        elif isinstance(node, nodes.Getitem):
            self.item(node)
        else:
            self.shape(node)

    def compare(self, node: nodes.Compare) -> None:
        """Read a comparison."""
        shape, operand = self.shape(node.expr), node.ops[0]
        if shape is None:
            if operand.op in ("in", "notin"):
                found = self.shape(operand.expr)
                if found is not None:
                    found.be("text")
            return
        if isinstance(operand.expr, nodes.Const):
            value = operand.expr.value
            shape.values += [value]
            shape.be("number" if isinstance(value, int | float) and not isinstance(value, bool) else "text")
            if isinstance(value, bool):
                shape.kind = "flag"
        elif isinstance(operand.expr, nodes.List):
            shape.values += [item.value for item in operand.expr.items if isinstance(item, nodes.Const)]

    def call(self, node: nodes.Call) -> None:
        """Read a call of a method."""
        if not isinstance(node.node, nodes.Getattr):
            return
        owner, name = node.node.node, node.node.attr
        shape = self.shape(owner)
        argument = self.shape(node.args[0]) if node.args else None
        if isinstance(owner, nodes.List) and argument is not None and name == "index":
            argument.values += [item.value for item in owner.items if isinstance(item, nodes.Const)]
            argument.be("text")
        elif (
            isinstance(owner, nodes.Const) and isinstance(owner.value, str) and argument is not None and name == "index"
        ):
            argument.values += list(owner.value)
            argument.be("text")
        elif shape is not None and name in TEXT_METHODS:
            shape.be("text")
        elif shape is not None and name in LIST_METHODS:
            element = shape.element()
            if argument is not None:
                argument.points_into, argument.kind = element, argument.kind or "member"
        elif shape is not None and name in DICT_METHODS:
            shape.be("dict")

    def item(self, node: nodes.Getitem) -> None:
        """Read a subscript."""
        index = node.arg
        self.shape(node)
        shape = self.shape(node.node)
        found = self.shape(index) if not isinstance(index, nodes.Const | nodes.Slice) else None
        if found is not None:
            n = len(node.node.items) if isinstance(node.node, nodes.List) else 3
            if isinstance(node.node, nodes.Dict):
                found.values += [pair.key.value for pair in node.node.items if isinstance(pair.key, nodes.Const)]
                found.be("text")
            else:
                found.kind, found.points_into = "number", n
        if shape is not None and (found is not None or isinstance(index, nodes.Slice)):
            if isinstance(index, nodes.Slice):
                return
            shape.element()

    def shape(self, node: nodes.Node) -> Shape | None:
        """Return the shape of the value of a node, None where it is no column's."""
        if isinstance(node, nodes.Name):
            if node.name in self.local:
                return self.local[node.name]
            return (
                None
                if node.name in ("range", "loop", "namespace", "dict", "zip", "len")
                else self.columns.key(node.name)
            )
        if isinstance(node, nodes.Getattr):
            owner = self.shape(node.node)
            known = TEXT_METHODS | LIST_METHODS | DICT_METHODS
            return None if owner is None or node.attr in known else owner.key(node.attr)
        if isinstance(node, nodes.Getitem):
            owner = self.shape(node.node)
            if owner is None:
                return None
            if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                return owner.key(node.arg.value)
            return None if isinstance(node.arg, nodes.Slice) else owner.element()
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in SAME_TEXT:
            return self.shape(node.node.node)
        if isinstance(node, nodes.Filter) and node.node is not None and node.name in ("int", "string", "trim"):
            return self.shape(node.node)
        return None


def read_function(function: Any, columns: Shape) -> None:
    """Read what a hook's module does with documents: subscripts of names that are a function's parameter or loop variable."""
    bound = dict(getattr(function, "keywords", {}) or {})
    arguments = list(getattr(function, "args", ()) or ())
    function = inspect.unwrap(getattr(function, "func", function))
    try:
        names = list(inspect.signature(function).parameters)
        bound |= dict(zip(names, arguments, strict=False))
        tree = ast.parse(inspect.getsource(inspect.getmodule(function)))
    except (OSError, TypeError, ValueError, SyntaxError):
        return
    wanted = {getattr(function, "__name__", "")}
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    seen: set[str] = set()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        if name not in functions:
            continue
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Name) and node.id in functions:
                wanted.add(node.id)
        _Python(columns, {**getattr(function, "__globals__", {}), **bound}).read(functions[name])


class _Python:
    DOCUMENT: ClassVar[set[str]] = {
        "doc",
        "row",
        "example",
        "x",
        "line",
        "item",
        "document",
        "sample",
        "instance",
        "docs",
        "ex",
        "d",
        "entry",
    }

    def __init__(self, columns: Shape, known: dict[str, Any]) -> None:
        self.columns = columns
        self.known = known
        self.local: dict[str, Shape] = {}
        self.tables: dict[str, list[Any]] = {}

    def read(self, function: ast.FunctionDef) -> None:
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Dict)
                and isinstance(node.targets[0], ast.Name)
            ):
                keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
                self.tables[node.targets[0].id] = keys
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                shape = self.shape(node.value)
                if shape is not None:
                    self.local[node.targets[0].id] = shape
            elif isinstance(node, ast.For | ast.comprehension):
                self.loop(node.target, node.iter)
        for node in ast.walk(function):
            self.use(node)

    def loop(self, target: ast.expr, source: ast.expr) -> None:
        if (
            isinstance(source, ast.Call)
            and isinstance(source.func, ast.Name)
            and source.func.id in ("enumerate", "zip")
        ):
            names = target.elts if isinstance(target, ast.Tuple) else []
            values = source.args if source.func.id == "zip" else [None, *source.args]
            for name, value in zip(names, values, strict=False):
                shape = self.shape(value) if value is not None else None
                if shape is not None and isinstance(name, ast.Name):
                    self.local[name.id] = shape.element()
            return
        shape = self.shape(source)
        if shape is not None and isinstance(target, ast.Name):
            self.local[target.id] = shape.element()

    def use(self, node: ast.AST) -> None:  # noqa: C901, PLR0915  # one case a kind of node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            shape = self.shape(node.func.value)
            argument = self.shape(node.args[0]) if node.args else None
            if shape is not None and node.func.attr in TEXT_METHODS and node.func.attr != "join":
                shape.be("text")
            elif shape is not None and node.func.attr in ("index", "append"):
                element = shape.element()
                if argument is not None and node.func.attr == "index":
                    argument.points_into, argument.kind = element, argument.kind or "member"
            elif shape is not None and shape is not self.columns and node.func.attr in ("keys", "items", "values"):
                shape.key("xx")
            elif node.func.attr == "literal_eval" and argument is not None:
                argument.be("literal")
            elif isinstance(node.func.value, ast.Constant) and node.func.attr == "join" and argument is not None:
                argument.element()
            elif isinstance(node.func.value, ast.List) and argument is not None and node.func.attr == "index":
                argument.values += [item.value for item in node.func.value.elts if isinstance(item, ast.Constant)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            shape = self.shape(node.args[0])
            if shape is not None and node.func.id in ("int", "chr"):
                shape.be("number")
            elif shape is not None and node.func.id in ("enumerate", "sorted"):
                shape.element()
            elif shape is not None and node.func.id == "literal_eval":
                shape.be("literal")
            elif shape is not None and node.func.id in ("ord",):
                shape.values += list("ABCD")
        elif isinstance(node, ast.Compare):
            shape = self.shape(node.left)
            other = node.comparators[0]
            if isinstance(other, ast.Name) and isinstance(self.known.get(other.id), str | int):
                other = ast.Constant(self.known[other.id])
            elif isinstance(other, ast.JoinedStr):
                other = ast.Constant("".join(map(self.part, other.values)))
            if (
                shape is not None
                and isinstance(node.ops[0], ast.In)
                and isinstance(other, ast.List | ast.Tuple | ast.Set)
            ):
                shape.values += [item.value for item in other.elts if isinstance(item, ast.Constant)]
            if shape is not None and isinstance(other, ast.Constant) and other.value is not None:
                shape.values += [other.value]
                shape.be("number" if isinstance(other.value, int) and not isinstance(other.value, bool) else "text")
        elif isinstance(node, ast.Subscript):
            index = self.shape(node.slice) if not isinstance(node.slice, ast.Constant | ast.Slice) else None
            if index is not None:
                if isinstance(node.value, ast.Name) and isinstance(self.known.get(node.value.id), dict):
                    index.values += [key for key in self.known[node.value.id] if isinstance(key, str | int)]
                elif isinstance(node.value, ast.Name) and node.value.id in self.tables:
                    index.values += self.tables[node.value.id]
                elif isinstance(node.value, ast.Dict):
                    index.values += [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
                else:
                    index.kind = index.kind or "number"
            self.shape(node)

    def part(self, node: ast.AST) -> str:
        """Return a piece of an f-string, as far as it is known."""
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
            return str(self.known.get(node.value.id, ""))
        return str(node.value) if isinstance(node, ast.Constant) else ""

    def shape(self, node: ast.AST) -> Shape | None:
        if isinstance(node, ast.Name):
            if node.id in self.local:
                return self.local[node.id]
            return self.columns if node.id in self.DOCUMENT else None
        if isinstance(node, ast.Subscript):
            owner = self.shape(node.value)
            if owner is None:
                return None
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return owner.key(node.slice.value)
            return None if isinstance(node.slice, ast.Slice) or owner is self.columns else owner.element()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAME_TEXT:
            return self.shape(node.func.value)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("int", "str")
            and node.args
        ):
            return self.shape(node.args[0])
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            owner = self.shape(node.func.value)
            first = node.args[0]
            if owner is not None and isinstance(first, ast.Constant) and isinstance(first.value, str):
                return owner.key(first.value)
        return None


def shapes_of(config: dict[str, Any]) -> Shape:  # noqa: C901  # one case a key
    """Return the shape of a document of a task, whose hooks are resolved."""
    columns = Shape()
    columns.kind = "dict"
    fewshot = config.get("fewshot_config") or {}
    wordings = [config, fewshot]
    for keys in wordings:
        for key in ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "gen_prefix"):
            form = keys.get(key)
            if callable(form):
                read_function(form, columns)
            elif isinstance(form, str) and "{" in form:
                Template(columns).read(form)
                if key == "doc_to_choice":
                    _whole(form, columns)
            elif isinstance(form, str) and key != "description" and form.isidentifier():
                shape = columns.key(form)
                if key == "doc_to_choice":
                    shape.element().be("text")
                elif key == "doc_to_target" and config.get("output_type") == "multiple_choice":
                    shape.kind, shape.points_into = shape.kind or "number", 2
    for key in ("process_docs", "process_results"):
        if callable(config.get(key)):
            read_function(config[key], columns)
    for item in config.get("filter_list") or []:
        if any(step.get("function") == "multi_choice_regex" for step in item.get("filter", [])):
            columns.key("choices").element().be("text")
    return columns


def _whole(form: str, columns: Shape) -> None:
    """A template of choices that is one path gives a list."""
    try:
        body = jinja2.Environment(autoescape=True).parse(form).body
    except jinja2.TemplateError:
        return
    if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
        inner = body[0].nodes[0]
        shape = Template(columns).shape(inner)
        if shape is not None and shape.kind in (None, "list"):
            shape.element().be("text")
        if isinstance(inner, nodes.List):
            for item in inner.items:
                found = Template(columns).shape(item)
                if found is not None:
                    found.be("text")


#: What a value of unknown kind is taken for, one guess after the other.
GUESSES = ("text", "list", "number", "digits", "letter", "literal", "dict_list", "flag")


def rows(columns: Shape, n: int, guess: str, seed: int) -> list[dict[str, Any]]:
    """Return n different rows."""
    return [_value(columns, random.Random(seed * 1000 + i), guess, {}) for i in range(n)]  # noqa: S311


def _value(shape: Shape, rng: random.Random, guess: str, made: dict[int, Any]) -> Any:
    if shape.keys:
        found = {}
        later = []
        for name, inner in shape.keys.items():
            if inner.kind == "member":
                later.append((name, inner))
            else:
                found[name] = _value(inner, rng, guess, made)
        for name, inner in later:
            options = made.get(id(inner.points_into)) or ["A"]
            found[name] = rng.choice(options)
        return found
    if shape.kind == "list":
        items = [_value(shape.item or Shape(), rng, "text" if guess == "list" else guess, made) for _ in range(6)]
        if all(isinstance(item, str) for item in items):
            items = list(dict.fromkeys(items))
            if shape.item is not None and shape.item.values:
                items = items or ["A"]
        made[id(shape.item)] = items
        return items
    values = list(dict.fromkeys(value for value in shape.values if value is not None))
    if values and shape.kind != "flag":
        return rng.choice(values)
    if shape.kind == "number":
        limit = shape.points_into if isinstance(shape.points_into, int) else 2
        return rng.randrange(min(limit, 2))
    return _leaf(shape.kind or guess, rng)


def _leaf(kind: str, rng: random.Random) -> Any:
    text = " ".join(rng.sample(WORDS, 4)) + f" {rng.randrange(1000)}"
    match kind:
        case "list":
            return [text, " ".join(rng.sample(WORDS, 2)), rng.choice(WORDS), "red sky"]
        case "number":
            return rng.randrange(2)
        case "digits":
            return str(rng.randrange(2))
        case "letter":
            return rng.choice("AB")
        case "literal":
            return repr([text, "red sky", "no", rng.choice(WORDS)])
        case "dict_list":
            return [{"text": text}]
        case "flag":
            return rng.random() < 0.5
    return text


def missing_column(fault: BaseException) -> str | None:
    """Return the column that an error of Jinja or Python says is not there."""
    import re

    message = str(fault)
    found = re.match(r"'(\w+)' is undefined", message) or re.match(r"'dict object' has no attribute '(\w+)'", message)
    if isinstance(fault, KeyError) and fault.args and isinstance(fault.args[0], str):
        return fault.args[0]
    if found is None:
        found = re.search(r"[Cc]olumn[s]? \W*'?(\w+)'? (?:not|doesn't)", message) or re.search(
            r"\['(\w+)'\] not", message
        )
    return found.group(1) if found else None


def attempts(config: dict[str, Any]) -> Iterator[tuple[Shape, str]]:
    """Yield what may be tried, in order."""
    for guess in GUESSES:
        yield shapes_of(config), guess
