"""What the tests of the sandbox share: one open sandbox, and a look at what is left running."""

import shutil
import time
from pathlib import Path

import pytest

from evalharness.sandbox import open_sandbox

NEEDS_BUBBLEWRAP = "bubblewrap is not installed: apt-get install bubblewrap"


@pytest.fixture(scope="session")
def sandbox():
    if shutil.which("bwrap") is None:
        pytest.skip(NEEDS_BUBBLEWRAP)
    with open_sandbox() as opened:
        yield opened


def strangers() -> set[str]:
    """Return the processes that live in another process namespace than ours, and the launchers of such."""
    own = Path("/proc/self/ns/pid").readlink()
    found = set()
    for pid in (path.name for path in Path("/proc").glob("[0-9]*")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if Path(f"/proc/{pid}/ns/pid").readlink() != own or b"bwrap\0" in command:
                found.add(pid)
        except OSError:
            continue
    return found


@pytest.fixture
def nothing_left():
    """Fail the test where a process that began during it is still there after it."""
    before = strangers()
    yield
    left = strangers() - before
    deadline = time.monotonic() + 5
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left &= strangers()
    assert not left, [Path(f"/proc/{pid}/cmdline").read_bytes()[:200] for pid in left]
