"""A sandbox that leaks is refused with the leak's name; without bubblewrap, the person must accept the danger by name."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import pytest

from evalharness.errors import SandboxError
from evalharness.sandbox import FunctionTests, Program, open_sandbox, run_programs
from evalharness.sandbox.cgroup import make_cage
from evalharness.sandbox.interpreter import find_interpreter
from evalharness.sandbox.sandbox import Sandbox
from evalharness.sandbox.selftest import check_sandbox

BWRAP = shutil.which("bwrap")
SYSTEM_PYTHON = Path("/usr/bin/python3")
ROOT = Path(__file__).parents[2]
needs_bubblewrap = pytest.mark.skipif(BWRAP is None, reason="bubblewrap is not installed: apt-get install bubblewrap")
needs_system_python = pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="there is no /usr/bin/python3")


@pytest.fixture
def weak_bubblewrap():
    """Make a bubblewrap that changes its arguments first: each flag of a table, with n words behind it, by others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)

    def make(flag, n, words):
        script = folder / "bwrap"
        script.write_text(
            "#!/usr/bin/python3 -I\nimport os, sys\nwords, out = sys.argv[1:], []\n"
            f"while words:\n    if words[0] == {flag!r}:\n        out += {words!r}\n        del words[:{1 + n}]\n"
            f"    else:\n        out.append(words.pop(0))\nos.execv({BWRAP!r}, ['bwrap', *out])\n"
        )
        script.chmod(0o755)
        return str(script)

    yield make
    shutil.rmtree(folder)


LEAKS = [
    ("--unshare-all", 0, ["--unshare-all", "--share-net"], "network: connected to the harness's port on 127.0.0.1"),
    ("--clearenv", 0, ["--setenv", "TOKEN", "x"], "environment: the variable TOKEN is visible"),
    ("--proc", 1, ["--ro-bind", "/etc", "/etc", "--proc", "/proc"], "files: /etc/passwd can be read"),
    ("--remount-ro", 1, [], "files: / can be written"),
    ("--size", 1, [], "files: /tmp has no limit of size"),
    ("--hostname", 1, [], "isolation: the host's name is visible"),
    ("--disable-userns", 0, [], "privileges: the program can make a user namespace, where it would be root"),
    ("--as-pid-1", 0, [], "processes: 3 processes are visible, not 2"),
]


@needs_bubblewrap
@needs_system_python
@pytest.mark.parametrize(("flag", "n", "words", "leak"), LEAKS, ids=[leak[0] for leak in LEAKS])
def test_a_sandbox_with_a_hole_is_refused_by_name(flag, n, words, leak, weak_bubblewrap):
    sandbox = Sandbox(find_interpreter(SYSTEM_PYTHON), weak_bubblewrap(flag, n, words))
    try:
        with pytest.raises(SandboxError) as caught:
            check_sandbox(sandbox)
    finally:
        sandbox.close()
    assert f"a probe got out: {leak}" in str(caught.value)


@needs_bubblewrap
def test_a_sandbox_that_cannot_start_says_what_bubblewrap_said(weak_bubblewrap):
    sandbox = Sandbox(find_interpreter(), weak_bubblewrap("--clearenv", 0, ["--no-such-flag"]))
    try:
        with pytest.raises(SandboxError, match="programs cannot run in it: bwrap: Unknown option --no-such-flag"):
            check_sandbox(sandbox)
    finally:
        sandbox.close()


@needs_bubblewrap
def test_the_record_says_what_was_used():
    with open_sandbox() as sandbox:
        record = sandbox.record
    assert record.kind == "bubblewrap"
    assert record.python == ".".join(map(str, sys.version_info[:3]))
    assert (record.cgroup is None) == (record.no_cgroup_because is not None)


@needs_bubblewrap
def test_closing_leaves_no_folder_and_no_control_group():
    before = set(Path(tempfile.gettempdir()).glob("evalharness-sandbox-*"))
    with open_sandbox():
        opened = set(Path(tempfile.gettempdir()).glob("evalharness-sandbox-*")) - before
    assert opened
    assert not [folder for folder in opened if folder.exists()]
    names = {folder.name for folder in opened}
    assert not [p for name in names for p in Path("/sys/fs/cgroup").glob(f"**/{name}*")]


def run_script(script, *before):
    """Run a script in a harness of its own, behind some words that change its world."""
    command = [*before, str(SYSTEM_PYTHON), "-c", script]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin:/usr/sbin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False, timeout=120)


WITHOUT_BUBBLEWRAP = ("bwrap", "--dev-bind", "/", "/", "--ro-bind", "/dev/null", "/usr/bin/bwrap", "--")
ASK = [SYSTEM_PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
system_python_fits = pytest.mark.skipif(
    not SYSTEM_PYTHON.exists() or subprocess.run(ASK, check=False).returncode != 0,
    reason="there is no /usr/bin/python3 of version 3.11 or later",
)


@needs_bubblewrap
@system_python_fits
def test_without_bubblewrap_code_is_refused_with_the_line_that_installs_it():
    done = run_script(
        "from evalharness.sandbox import open_sandbox\nwith open_sandbox():\n    pass\n", *WITHOUT_BUBBLEWRAP
    )
    assert "SandboxError: sandbox: bubblewrap is not installed" in done.stderr
    assert "apt-get install bubblewrap -y" in done.stderr
    assert "--unsafe-code-execution" in done.stderr


UNSAFE = """
import json
from evalharness.sandbox import *
tests = FunctionTests("assert f(1) == 2", "f")
sources = ["def f(x):\\n    return x + 1\\n", "def f(x):\\n    return x\\n", "import time\\ntime.sleep(60)\\n"]
with open_sandbox(allow_unsafe=True) as sandbox:
    programs = [Program(source, tests) for source in sources]
    programs.append(Program("import os\\nprint(os.environ.get('PYTHONPATH'))", Cases((Case("", "None"),))))
    outcomes = run_programs(programs, sandbox=sandbox, limits=Limits(wall_seconds=2))
    print(json.dumps([sandbox.record.kind, *[outcome.verdict for outcome in outcomes]]))
"""


@needs_bubblewrap
@system_python_fits
def test_without_bubblewrap_programs_run_where_the_danger_was_accepted_and_the_record_says_so():
    done = run_script(UNSAFE, *WITHOUT_BUBBLEWRAP)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["none", "passed", "failed", "timed_out", "passed"]


ORDINARY = """
import json
from evalharness.sandbox import *
tests = FunctionTests("assert f(1) == 2", "f")
with open_sandbox() as sandbox:
    sources = ["def f(x):\\n    return x + 1\\n", "import os\\nwhile True:\\n    os.fork()\\n"]
    outcomes = run_programs([Program(s, tests) for s in sources], sandbox=sandbox, limits=Limits(wall_seconds=2))
    record = sandbox.record
    print(json.dumps([record.kind, record.user_dropped, *[outcome.passed for outcome in outcomes]]))
"""


@needs_bubblewrap
@system_python_fits
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_gets_the_same_sandbox():
    done = run_script(ORDINARY, "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["bubblewrap", False, True, False]


@needs_bubblewrap
@system_python_fits
@pytest.mark.usefixtures("nothing_left")
def test_killing_the_harness_kills_its_programs():
    script = ORDINARY.replace("while True:\\n    os.fork()", "import time; time.sleep(1000)").replace(
        "seconds=2", "seconds=99"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    harness = subprocess.Popen([SYSTEM_PYTHON, "-c", script], env=environment, cwd="/", start_new_session=True)
    time.sleep(2)
    assert harness.poll() is None
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    name = f"evalharness-sandbox-{harness.pid}-*"  # what a killed harness cannot remove itself
    for folder in [*Path("/sys/fs/cgroup").glob(f"**/{name}"), *Path(tempfile.gettempdir()).glob(name)]:
        remove(folder)


def remove(folder):
    deadline = time.monotonic() + 5
    while folder.exists():
        try:
            shutil.rmtree(folder) if folder.is_relative_to(tempfile.gettempdir()) else folder.rmdir()
        except OSError:
            assert time.monotonic() < deadline, f"a process is left in {folder}"
            time.sleep(0.05)


def test_a_python_that_does_not_run_is_named(tmp_path):
    with pytest.raises(SandboxError, match=f"{tmp_path}/python: this Python does not run"):
        find_interpreter(tmp_path / "python")


def test_a_python_in_the_home_folder_itself_is_refused(tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "me"], check=True)
    monkeypatch.setenv("HOME", str(tmp_path / "me" / "deep"))
    with pytest.raises(SandboxError, match="showing it would show the whole folder"):
        find_interpreter(tmp_path / "me" / "bin" / "python")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes control groups everywhere")
def test_a_control_group_limits_kills_and_goes_away():
    cage = make_cage(f"evalharness-test-{os.getpid()}")
    if isinstance(cage, str):
        pytest.skip(f"no control group can be made here: {cage}")
    try:
        cage.limit(2**26, 4)
        cage.limit(2**27, 8)
        sleeper = subprocess.Popen(
            ["/bin/sh", "-c", 'for f in "$@"; do echo 0 > "$f"; done; exec sleep 60', "sh", *cage.entrances]
        )
        time.sleep(0.3)
        assert str(sleeper.pid) in Path(cage.entrances[0]).read_text().split()
        cage.kill()
        assert sleeper.wait() == -signal.SIGKILL
        assert (cage.n_memory_kills(), cage.n_refused_processes()) == (0, 0)
    finally:
        cage.remove()
    assert not any(Path(entrance).exists() for entrance in cage.entrances)


@needs_bubblewrap
def test_a_python_installed_below_tmp_is_seen_by_programs(tmp_path):
    """The sandbox's own /tmp lies over the machine's; the checkout of a CI job often stands there."""
    venv.create(tmp_path / "environment", with_pip=False, symlinks=True)
    with open_sandbox(python=tmp_path / "environment" / "bin" / "python") as sandbox:
        (outcome,) = run_programs(
            [Program("def f(): return 1", FunctionTests("assert f() == 1", "f"))], sandbox=sandbox
        )
    assert outcome.passed, outcome
