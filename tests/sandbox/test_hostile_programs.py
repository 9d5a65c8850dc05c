"""Each hostile program is contained, judged, and leaves nothing behind."""

import socket
from pathlib import Path

import pytest
from hostile_programs import HOSTILE

from evalharness.sandbox import Case, Cases, FunctionTests, Limits, Program, run_programs

LIMITS = Limits(wall_seconds=2, memory_bytes=256 * 2**20, processes=12, file_bytes=8 * 2**20)
TESTS = "assert attack() == 'done'"


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """What the attacks aim at: a loopback listener, an abstract socket, and a file that everybody may read."""
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    with socket.socket(socket.AF_INET6) as line, socket.socket(socket.AF_UNIX) as named:
        line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        line.bind(("::", 0))
        line.listen(16)
        name = f"evalharness-{line.getsockname()[1]}"
        named.bind(f"\0{name}")
        named.listen(16)
        yield {"PORT": str(line.getsockname()[1]), "NAME": name, "SECRET": str(secret), "HOME": str(Path.home())}


def aimed(source, targets):
    for word, value in targets.items():
        source = source.replace(word, value)
    return source


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_program_fails_its_tests(hostile, targets, sandbox, monkeypatch):
    monkeypatch.setenv("OUTER_VARIABLE", "secret")
    program = Program(aimed(hostile.source, targets), FunctionTests(TESTS, "attack"))
    outcome = run_programs([program], sandbox=sandbox, limits=LIMITS, workers=1)[0]
    assert outcome.verdict in hostile.verdicts, outcome


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_program_fails_a_case(hostile, targets, sandbox, monkeypatch):
    monkeypatch.setenv("OUTER_VARIABLE", "secret")
    source = aimed(hostile.source, targets) + "\nprint(attack())\n"
    program = Program(source, Cases((Case("", "done\n"),)))
    outcome = run_programs([program], sandbox=sandbox, limits=LIMITS, workers=1)[0]
    assert not outcome.passed, outcome
    assert outcome.verdict != "sandbox_error", outcome


def test_there_are_forty_hostile_programs_or_more():
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) >= 40


def test_an_attack_that_gets_through_would_be_seen(sandbox):
    """The same frame around a harmless body passes, so the failures above are the sandbox's doing."""
    from hostile_programs import tries

    program = Program(tries("open('/tmp/mine', 'w').write('x')"), FunctionTests(TESTS, "attack"))
    assert run_programs([program], sandbox=sandbox, limits=LIMITS)[0].passed
