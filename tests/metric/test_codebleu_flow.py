"""The data flow of small texts, followed by hand, in every language."""

import subprocess
import sys
from time import perf_counter

import pytest

pytest.importorskip("tree_sitter")

from evalharness.metric.code.flow import flow_of

FROM, COMPUTED = "comesFrom", "computedFrom"


def edges(language, text):
    return [(edge.variable, edge.relation, edge.sources) for edge in flow_of(language, text)]


# `b = a; c = b`: a is 0, b is 1, c is 2; edges stand in the order of their tokens: b, a, c, b.
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "void f() { b = a; c = b; }"),
        ("cpp", "void f() { b = a; c = b; }"),
        ("csharp", "void F() { b = a; c = b; }"),
        ("go", "func f() { b = a; c = b }"),
        ("java", "void f() { b = a; c = b; }"),
        ("javascript", "b = a; c = b;"),
        ("php", "$b = $a; $c = $b;"),
        ("python", "b = a\nc = b"),
        ("ruby", "b = a\nc = b"),
        ("rust", "fn f() { b = a; c = b; }"),
    ],
)
def test_assignment_carries_a_value_on(language, text):
    assert edges(language, text) == [(1, COMPUTED, (0,)), (0, FROM, ()), (2, COMPUTED, (1,)), (1, FROM, (1,))]


# a is 0, b is 1; f, which nothing comes from, is left out.
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "void g() { int b = a; f(b); }"),
        ("cpp", "void g() { int b = a; f(b); }"),
        ("csharp", "void G() { var b = a; f(b); }"),
        ("go", "func g() { var b = a; f(b) }"),
        ("java", "void g() { int b = a; f(b); }"),
        ("javascript", "let b = a; f(b);"),
        ("php", "function g($b = $a) { f($b); }"),
        ("python", "def g(b=a): f(b)"),
        ("ruby", "def g(b = a)\n f(b)\nend"),
        ("rust", "fn g() { let b = a; f(b); }"),
    ],
)
def test_declaration_gives_the_first_value(language, text):
    assert edges(language, text) == [(1, FROM, (0,)), (0, FROM, ()), (1, FROM, (1,))]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "int f(int p) { return p; }"),
        ("cpp", "int f(int p) { return p; }"),
        ("csharp", "int F(int p) { return p; }"),
        ("go", "func f(p int) int { return p }"),
        ("java", "int f(int p) { return p; }"),
        ("javascript", "function f(p) { return p; }"),
        ("php", "function f($p) { return $p; }"),
        ("python", "def f(p):\n    return p"),
        ("ruby", "def f(p)\n  return p\nend"),
        ("rust", "fn f(p: i32) -> i32 { p }"),
    ],
)
def test_parameter_is_where_its_uses_come_from(language, text):
    assert edges(language, text) == [(0, FROM, ()), (0, FROM, (0,))]


# If c, then x = a, else y = x: the x that y gets is not the one that a was given to, so it comes from nowhere.
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "void f() { if (c) { x = a; } else { y = x; } }"),
        ("cpp", "void f() { if (c) { x = a; } else { y = x; } }"),
        ("csharp", "void F() { if (c) { x = a; } else { y = x; } }"),
        ("go", "func f() { if c { x = a } else { y = x } }"),
        ("java", "void f() { if (c) { x = a; } else { y = x; } }"),
        ("javascript", "if (c) { x = a; } else { y = x; }"),
        ("php", "if ($c) { $x = $a; } else { $y = $x; }"),
        ("python", "if c:\n    x = a\nelse:\n    y = x"),
        ("ruby", "if c\n  x = a\nelse\n  y = x\nend"),
        ("rust", "fn f() { if c { x = a; } else { y = x; } }"),
    ],
)
def test_one_branch_does_not_see_the_other(language, text):
    assert edges(language, text) == [(1, COMPUTED, (0,)), (0, FROM, ()), (2, COMPUTED, (1,)), (1, FROM, ())]


# While c, y = x and then x = a: in the second round x comes from the assignment below it; c and a come from themselves.
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "void f() { while (c) { y = x; x = a; } }"),
        ("cpp", "void f() { while (c) { y = x; x = a; } }"),
        ("csharp", "void F() { while (c) { y = x; x = a; } }"),
        ("go", "func f() { for c { y = x; x = a } }"),
        ("java", "void f() { while (c) { y = x; x = a; } }"),
        ("javascript", "while (c) { y = x; x = a; }"),
        ("php", "while ($c) { $y = $x; $x = $a; }"),
        ("python", "while c:\n    y = x\n    x = a"),
        ("ruby", "while c\n  y = x\n  x = a\nend"),
        ("rust", "fn f() { while c { y = x; x = a; } }"),
    ],
)
def test_the_end_of_a_loop_reaches_its_beginning(language, text):
    expected = [(0, FROM, (0,)), (2, COMPUTED, (1,)), (1, FROM, (1,)), (1, COMPUTED, (3,)), (3, FROM, (3,))]
    assert edges(language, text) == expected


# For every v of xs, f(v): v is computed from xs; xs and f are met a second time.
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("cpp", "void g() { for (auto v : xs) f(v); }"),
        ("csharp", "void G() { foreach (var v in xs) f(v); }"),
        ("go", "func g() { for v := range xs { f(v) } }"),
        ("java", "void g() { for (T v : xs) f(v); }"),
        ("javascript", "for (const v of xs) f(v);"),
        ("python", "for v in xs:\n    f(v)"),
        ("ruby", "for v in xs do f(v) end"),
        ("rust", "fn g() { for v in xs { f(v); } }"),
    ],
)
def test_loop_over_a_collection_computes_its_variable(language, text):
    assert edges(language, text) == [(1, COMPUTED, (0,)), (0, FROM, (0,)), (2, FROM, (2,)), (1, FROM, (1,))]


def test_loop_of_php_names_the_collection_first():
    # a function's name is no variable in PHP
    expected = [(0, FROM, (0,)), (1, COMPUTED, (0,)), (1, FROM, (1,))]
    assert edges("php", "foreach ($xs as $v) { f($v); }") == expected


# i comes from a once; in both rounds it is compared with n, computed from itself, and used.
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "void g() { for (int i = a; i < n; i++) f(i); }"),
        ("cpp", "void g() { for (int i = a; i < n; ++i) f(i); }"),
        ("csharp", "void G() { for (int i = a; i < n; ++i) f(i); }"),
        ("java", "void g() { for (int i = a; i < n; i++) f(i); }"),
        ("javascript", "for (let i = a; i < n; i++) f(i);"),
    ],
)
def test_counting_loop_starts_once(language, text):
    expected = [(1, FROM, (0,)), (0, FROM, ()), (1, FROM, (1,)), (2, FROM, (2,)), (1, COMPUTED, (1,))]
    assert edges(language, text) == [*expected, (3, FROM, (3,)), (1, FROM, (1,))]


@pytest.mark.parametrize(
    ("language", "text"),
    [("python", "a, b = c, d"), ("go", "func f() { a, b = c, d }"), ("ruby", "a, b = c, d")],
)
def test_each_name_of_a_tuple_gets_its_own_value(language, text):
    assert edges(language, text) == [(1, COMPUTED, (0,)), (3, COMPUTED, (2,)), (0, FROM, ()), (2, FROM, ())]


def test_names_do_not_matter():
    assert flow_of("java", "void f(int a) { int b = a; return b; }") == flow_of(
        "java", "void g(int left) { int right = left; return right; }"
    )


def test_letters_beyond_ascii_are_names_as_others_are():
    assert flow_of("python", "größe = 'ü'; print(größe)") == flow_of("python", "size = 'u'; print(size)")


def test_value_without_variables_leaves_none():
    assert edges("java", "void f() { x = this; }") == []


def test_empty_text_has_no_flow():
    assert flow_of("python", "") == ()


@pytest.mark.parametrize(
    "text",
    [
        "def f(:\n  x = = 3",
        "x = (((",
        "}}}} else",
        "\x00\x01\x02",
        "\ud800 = 1",
        "我喜欢吃苹果",
        "if x then y else z",
        "for (int i = 0; i <",
    ],
)
@pytest.mark.parametrize(
    "language", ["c", "cpp", "csharp", "go", "java", "javascript", "php", "python", "ruby", "rust"]
)
def test_wrong_code_has_a_flow_nonetheless(language, text):
    assert isinstance(flow_of(language, text), tuple)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "(" * 4000),
        ("java", "x = " + "(" * 3000 + "a" + ")" * 3000 + ";"),
        ("javascript", "while (x) { x = y;" * 500),
        ("c", "void f() {" + "for (;;) {" * 400 + "x = y;" + "}" * 401),
        ("csharp", "x = " + "+".join(["a"] * 3000) + ";"),
        ("java", "void f() {" + "if (a) { b = c; } else " * 800 + "{} }"),
    ],
)
def test_endless_repetition_ends(language, text):
    start = perf_counter()
    assert isinstance(flow_of(language, text), tuple)
    assert perf_counter() - start < 30  # 0.2 s; two rounds at every level would never end


def test_flow_is_the_same_in_every_process():
    program = (
        "from evalharness.metric.code.flow import flow_of\n"
        "text = 'def f(a, b):\\n    for i, c in zip(a, b):\\n        d = g(a, b, c, i, d)\\n        while d: b = d + a\\n'\n"
        "print(flow_of('python', text))"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in range(4)
    }
    assert len(shown) == 1
    assert "Edge" in shown.pop()
