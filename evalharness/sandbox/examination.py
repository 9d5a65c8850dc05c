"""What the harness says to a program under examination, and what it must hear to believe it."""

from __future__ import annotations

import ast
import secrets
from functools import lru_cache

from evalharness.sandbox.cell import frame
from evalharness.sandbox.program import FunctionTests


class Examination:
    """One examination of one program by its tests.

    The text of the tests is sent when the program's body has ended ("L"), the nonce when the tests have ("E"); an
    examination is passed when the nonce comes back. Every text of tests ends with one more assertion, made of fresh
    random words; in a doomed examination it cannot hold, so whoever reaches the end has not run the tests.
    """

    def __init__(self, source: str, tests: FunctionTests, *, doomed: bool) -> None:
        word = secrets.token_hex(8)
        other = secrets.token_hex(8) if doomed else word
        self._text = f"{tests.text}\nassert {word!r} == {other!r}\n"
        self._nonce = secrets.token_hex(16).encode()
        self._steps = [
            (b"", frame(imports_of(tests.text).encode()) + frame(source.encode())),
            (b"L", frame((tests.entry_point or "").encode()) + frame(self._text.encode())),
            (b"LE", frame(self._nonce)),
        ]

    def answer(self, said: bytes) -> bytes:
        """Return what to send now that this has been said in all; each part goes once, and in order."""
        out = b""
        while self._steps and said.startswith(self._steps[0][0]):
            out += self._steps.pop(0)[1]
        return out

    def is_passed(self, said: bytes) -> bool:
        """Say whether the program has come to the end of its tests."""
        return said == b"LE" + self._nonce


@lru_cache(maxsize=1024)
def imports_of(tests: str) -> str:
    """Return the modules that tests import, joined by commas; nothing where the text cannot be parsed."""
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return ",".join(sorted(names))
