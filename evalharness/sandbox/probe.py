"""An attack from inside, run in the sandbox before any stranger's program: prints one line for each thing it could do.

The first line of standard input is a Python literal with what only the harness knows: places to read and write, a
loopback port where the harness listens, its host name and namespaces, and the limits that should hold. Nothing but
loopback is ever addressed. All attempts are bounded.
"""

# It speaks to the kernel plainly, and to the harness by printing.
# ruff: noqa: PTH108, PTH112, PTH115, PTH123, PTH208, T201
from __future__ import annotations

import ast
import ctypes
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

LEAKS: list[Callable[[dict[str, Any]], Iterator[str]]] = []


def leak(check: Callable[[dict[str, Any]], Iterator[str]]) -> Callable[[dict[str, Any]], Iterator[str]]:
    """Add a check to the attack."""
    LEAKS.append(check)
    return check


@leak
def network(facts: dict[str, Any]) -> Iterator[str]:
    """Connect to the harness's own loopback port, by both protocols and by name of an abstract socket."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as line:
                line.settimeout(1)
                line.connect((host, facts["port"]))
        except OSError:
            continue
        yield f"network: connected to the harness's port on {host}"


@leak
def environment(facts: dict[str, Any]) -> Iterator[str]:
    """Read variables of our own process, of process 1 and of any other."""
    for name in sorted(set(os.environ) - set(facts["variables"])):
        yield f"environment: the variable {name} is visible"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                names = {item.split(b"=")[0].decode() for item in file.read().split(b"\0") if item}
        except OSError:
            continue
        for name in sorted(names - set(facts["variables"])):
            yield f"environment: /proc/{pid}/environ shows {name}"


@leak
def reading(facts: dict[str, Any]) -> Iterator[str]:
    """Read files outside."""
    for path in facts["secret_files"]:
        if os.access(path, os.R_OK):
            yield f"files: {path} can be read"
    for path, names in facts["secret_folders"].items():
        try:
            found = set(os.listdir(path)) & set(names) - set(facts["shown"])
        except OSError:
            continue
        if found:
            yield f"files: {path} can be listed"


@leak
def writing(facts: dict[str, Any]) -> Iterator[str]:
    """Create files outside the temporary folders, and see how large those are."""
    for folder in facts["read_only"]:
        path = f"{folder.rstrip('/')}/evalharness-probe"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        except OSError:
            continue
        os.unlink(path)
        yield f"files: {folder} can be written"
    for folder in ("/tmp", "/dev/shm"):  # noqa: S108
        if not os.path.isdir(folder):
            continue
        size = os.statvfs(folder)
        if size.f_blocks * size.f_frsize > facts["file_bytes"] + 2**20:
            yield f"files: {folder} has no limit of size"


@leak
def privileges(facts: dict[str, Any]) -> Iterator[str]:
    """Look for the user id 0, capabilities, and ways to get namespaces or mounts."""
    if os.getuid() == 0:
        yield "privileges: the program runs as root"
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    if int(status["CapEff"], 16) or int(status["CapPrm"], 16):
        yield "privileges: the program holds capabilities"
    if status.get("NoNewPrivs", "1") != "1":
        yield "privileges: the program could gain some by a set-user-id file"
    libc = ctypes.CDLL(None)
    if libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) == 0:
        yield "privileges: the program can mount"
    if libc.ptrace(16, 1, None, None) == 0:  # PTRACE_ATTACH; on a dumpable process 1 it would succeed
        libc.ptrace(17, 1, None, None)
        yield "privileges: process 1 can be traced"
    child = os.fork()
    if child == 0:
        os._exit(1 if libc.unshare(0x10000000) == 0 else 0)  # CLONE_NEWUSER
    if os.waitpid(child, 0)[1]:
        yield "privileges: the program can make a user namespace, where it would be root"


@leak
def isolation(facts: dict[str, Any]) -> Iterator[str]:
    """Compare namespaces and names with the harness's, and count processes and descriptors."""
    for name, outside in facts["namespaces"].items():
        try:
            inside = os.readlink(f"/proc/self/ns/{name}")
        except OSError:
            continue
        if inside == outside:
            yield f"isolation: the {name} namespace is the harness's own"
    if os.uname().nodename == facts["hostname"] != "sandbox":
        yield "isolation: the host's name is visible"
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
    if len(pids) > 2:
        yield f"processes: {len(pids)} processes are visible, not 2"
    descriptors = {int(fd) for fd in os.listdir("/proc/self/fd")}
    if len(descriptors - {0, 1, 2}) > 1:  # one is the listing's own
        yield "isolation: a descriptor of the harness has been inherited"


@leak
def limits(facts: dict[str, Any]) -> Iterator[str]:
    """Look at the limits, and ask for more memory than they allow."""
    for name, most in facts["rlimits"].items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        if hard == resource.RLIM_INFINITY or hard > most:
            yield f"limits: {name} is {hard}, not {most}"
    try:
        bytearray(facts["memory_bytes"])
    except MemoryError:
        pass
    else:
        yield "limits: more memory can be had than allowed"


@leak
def processes(facts: dict[str, Any]) -> Iterator[str]:
    """Start more processes than allowed, each asleep."""
    children = []
    try:
        for _ in range(facts["processes"]):
            child = os.fork()
            if child == 0:
                time.sleep(20)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    else:
        yield "limits: more processes can be had than allowed"
    if not children:
        yield "limits: not a single child can be started, so honest programs would fail"
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)


def main() -> None:
    """Attack, print what got through, and end with a line that shows that all was tried."""
    facts = ast.literal_eval(sys.stdin.readline())
    for check in LEAKS:
        for line in check(facts):
            print(line)
    print("probe finished")


if __name__ == "__main__":
    main()
