"""The part that runs inside the sandbox, as process 1 of its own process namespace, under the sandbox's Python.

It is given to the interpreter as text, so it uses the standard library alone and imports little: each import is
paid once a program. Process 1 forks a child for each run, waits, kills what the child left, and says how the child
ended. It never sees tests or nonces: those go from the harness straight to the child, over a socket ("station") that
process 1 hands on. A program cannot kill process 1 (the kernel ignores its signals there) nor trace it or its own
children-to-be (they are not dumpable).
"""

# Importing pathlib would cost more time than most programs take.
# ruff: noqa: PTH102, PTH109
from __future__ import annotations

import builtins
import ctypes
import os
import resource
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as starting Python
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

    Names = dict[str, Any]
else:
    Names = dict

SIGKILL = 9
PR_SET_DUMPABLE = 4
ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without the import of ast


def read_exactly(fd: int, n: int) -> bytes:
    """Read n bytes; end the process where the harness has hung up."""
    parts = []
    while n:
        part = os.read(fd, min(n, 1 << 20))
        if not part:
            os._exit(125)
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def read_frame(fd: int) -> bytes:
    """Read a length of 8 bytes, then that many."""
    return read_exactly(fd, int.from_bytes(read_exactly(fd, 8), "big"))


def write_all(fd: int, data: bytes) -> None:
    """Write all of the data."""
    while data:
        data = data[os.write(fd, data) :]


def become_program(limits: dict[str, int], keep: int | None) -> None:
    """In a fresh child: a session of its own, limits that cannot be raised again, no inherited descriptors."""
    os.setsid()
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if keep is None:
        os.closerange(3, 1024)
    else:
        os.closerange(3, keep)
        os.closerange(keep + 1, 1024)


def wait_for(child: int, control: int) -> int:
    """Wait for the child and return its wait status; where the harness hangs up, everything ends."""
    ended = os.pidfd_open(child)
    watch = select.poll()
    watch.register(ended, select.POLLIN)
    watch.register(control, select.POLLIN | select.POLLHUP)
    while True:
        ready = {fd for fd, _ in watch.poll()}
        if control in ready:
            sweep(child)
            os._exit(125)
        if ended in ready:
            os.close(ended)
            return os.waitpid(child, 0)[1]


def sweep(child: int) -> None:
    """Kill and reap all that a run left behind.

    In a process namespace of our own that is every process but this one; without one, the child's group must do.
    """
    while True:
        try:
            os.kill(-1, SIGKILL) if os.getpid() == 1 else os.killpg(child, SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        else:
            select.select([], [], [], 0.0005)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def run_command(control: int, limits: dict[str, int]) -> int:
    """Run a script with given standard input in a fresh interpreter; return its process id."""
    command = read_frame(control).decode().split("\0")
    source, stdin = read_frame(control), read_frame(control)
    folder = f"{os.getcwd()}/{os.urandom(8).hex()}"  # a name that no earlier case can have laid a trap at
    os.mkdir(folder)
    script = os.open(f"{folder}/program", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    write_all(script, source)
    os.close(script)
    # A file and not a pipe: programs that open /dev/stdin work, and a program that does not read blocks nobody.
    text = os.memfd_create("stdin")
    write_all(text, stdin)
    os.lseek(text, 0, os.SEEK_SET)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(text, 0)
            become_program(limits, None)
            os.execv(command[0], [*command, f"{folder}/program"])  # noqa: S606 - no shell is wanted
        except BaseException as error:  # noqa: BLE001 - a child must never return into its parent's loop
            write_all(2, f"cannot start {command[0]}: {error}\n".encode())
        finally:
            os._exit(126)
    os.close(text)
    return child


def run_tests(control: int, limits: dict[str, int]) -> int:
    """Examine a program by its tests in a forked child; return its process id."""
    station = int(read_frame(control))
    child = os.fork()
    if child == 0:
        try:
            become_program(limits, station)
            examine(station)
        finally:
            os._exit(126)
    os.close(station)
    return child


class NamesForTests(Names):
    """The names that tests see: the program's own, live, but over builtins that the program cannot change.

    Tests and program share names, as in one file. Only the builtins differ: the program may have replaced `abs` or
    `all` in the `builtins` module, or (where the entry point is known) have defined them itself.
    """

    def __init__(self, program: dict[str, Any], pristine: dict[str, Any], entry_point: str) -> None:
        super().__init__(__builtins__=pristine, __name__="program", __equal__=equal)
        self._program = program
        self._hidden = set(pristine) - {entry_point} if entry_point else set()

    def __missing__(self, name: str) -> Any:
        if name in self._hidden:
            raise KeyError(name)
        return self._program[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._hidden.discard(name)
        self._program[name] = value

    def __delitem__(self, name: str) -> None:
        del self._program[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._program

    def get(self, name: str, default: Any = None) -> Any:
        """Look a name up as subscription does."""
        return self[name] if name in self else default  # noqa: SIM401 - that would call this very method


FUNCTION = type(read_frame)


def equal(left: Any, right: Any) -> Any:
    """Compare as ``==`` does, but refuse an answer that equals everything, even an object made this moment."""
    result = left == right
    for side in (left, right):
        if type(getattr(type(side), "__eq__", None)) is FUNCTION:
            try:
                fooled = (side == object()) is True
            except Exception:  # noqa: BLE001, S112 - an honest __eq__ may choke on a stranger
                continue
            if fooled:
                raise AssertionError("an answer that equals everything is no answer")
    return result


def compile_tests(text: str) -> CodeType:
    """Compile tests with each single ``a == b`` made a call of `equal`."""
    import _ast

    tree = compile(text, "<tests>", "exec", ONLY_AST, True)
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                value[:] = [_watched(child, _ast) for child in value]
                waiting += [child for child in value if isinstance(child, _ast.AST)]
            elif isinstance(value, _ast.AST):
                setattr(node, name, _watched(value, _ast))
                waiting.append(getattr(node, name))
    return compile(tree, "<tests>", "exec", 0, True)


def _watched(node: Any, _ast: Any) -> Any:
    """Return the node, or the call that replaces it where it compares two values for equality."""
    if not (isinstance(node, _ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], _ast.Eq)):
        return node
    place = {key: getattr(node, key) for key in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
    name = _ast.Name(id="__equal__", ctx=_ast.Load(), **place)
    return _ast.Call(func=name, args=[node.left, node.comparators[0]], keywords=[], **place)


def import_and_remember(names: str) -> Callable[[], None]:
    """Import the modules that the tests will use, and return what undoes a program's changes to them."""
    saved: list[tuple[Any, Names]] = []
    for name in filter(None, names.split(",")):
        try:
            module = __import__(name, fromlist=["_"])
        except BaseException:  # noqa: BLE001, S112 - the tests will meet the same error, and report it
            continue
        saved.append((module, dict(vars(module))))
        saved += [(value, dict(vars(value))) for value in vars(module).values() if isinstance(value, type)]

    def restore(changed: Callable[..., Any] = setattr) -> None:
        for holder, values in saved:
            for key, value in values.items():
                if vars(holder).get(key) is not value:
                    try:
                        changed(holder, key, value)
                    except (AttributeError, TypeError):
                        continue

    return restore


def examine(station: int) -> None:
    """Run a program, then its tests; echo the nonce that the harness sends once the tests have ended.

    Whatever is used after the program has begun is bound to local names before, so that replacing a function in `os`
    or `sys` changes nothing here, and what it replaced in `builtins` is put back. The tests, and then the nonce, arrive
    only when each part is over.
    """
    execute, leave, receive, say, show = exec, os._exit, read_frame, write_all, sys.__excepthook__
    untrace, unprofile, compile_program, make_names = sys.settrace, sys.setprofile, compile, NamesForTests
    compile_after, pristine, stderr, module_type = compile_tests, dict(vars(builtins)), sys.stderr, type(sys)
    failures = BaseException
    restore = import_and_remember(receive(station).decode())
    source = receive(station).decode()
    module = module_type("program")
    sys.modules["program"] = sys.modules["__main__"] = module
    names, put_builtins_back = vars(module), vars(builtins).update
    try:
        execute(compile_program(source, "<program>", "exec", 0, True), names)
        put_builtins_back(pristine)
        untrace(None)
        unprofile(None)
        say(station, b"L")
        entry_point, text = receive(station).decode(), receive(station).decode()
        restore()
        execute(compile_after(text), make_names(names, pristine, entry_point))
    except failures as error:
        say(station, b"X" + type(error).__name__[:80].encode("ascii", "replace") + b"\n")
        sys.stderr = stderr
        show(type(error), error, error.__traceback__)
        leave(1)
    say(station, b"E")
    say(station, receive(station))
    leave(0)


def main() -> None:
    """Serve the harness's orders until it hangs up."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    control = os.dup(0)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    write_all(control, b"ready\n")
    pairs = (item.split("=") for item in read_frame(control).decode().split(","))
    limits = {name: int(value) for name, value in pairs}
    while True:
        order = read_frame(control)
        try:
            child = (run_tests if order == b"tests" else run_command)(control, limits)
        except OSError as error:
            write_all(control, f"broken {error}\n".encode())
            continue
        status = wait_for(child, control)
        sweep(child)
        write_all(control, b"exit %d\n" % status)


if __name__ == "__main__":
    main()
