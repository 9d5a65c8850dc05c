"""Programs that attack: each defines `attack`, which returns "done" only where the attack got through.

Every one is bounded by the sandbox's limits; none may be run outside of it. The only network address is loopback:
PORT and NAME stand for a listener of the tests, SECRET for a file of theirs, HOME for the home folder.
"""

from textwrap import dedent, indent
from typing import NamedTuple

FAILED = frozenset({"failed"})
# A MemoryError that the program catches leaves an ordinary failure; on a busy machine the time may be up first.
MEMORY = frozenset({"memory_limit", "failed", "timed_out"})
TIME = frozenset({"timed_out"})
ANY = frozenset({"failed", "timed_out", "memory_limit", "process_limit", "output_limit"})


class Hostile(NamedTuple):
    name: str
    text: str
    verdicts: frozenset[str] = FAILED

    @property
    def source(self) -> str:
        return dedent(self.text).lstrip()


def tries(body: str, setup: str = "") -> str:
    """Return a program whose attack is one body that raises where it is refused."""
    return ATTEMPT.format(setup=setup, body=indent(dedent(body).strip(), " " * 8))


ATTEMPT = """
import ctypes, os, socket, sys
{setup}
def attack():
    try:
{body}
    except (OSError, AssertionError) as error:
        return repr(error)
    return 'done'
"""
LIBC = "libc = ctypes.CDLL(None, use_errno=True)"

NETWORK = [
    Hostile("connects_to_loopback", tries("socket.create_connection(('127.0.0.1', PORT), 1)")),
    Hostile("connects_to_loopback_by_ipv6", tries("socket.create_connection(('::1', PORT), 1)")),
    Hostile(
        "connects_to_an_abstract_socket",
        tries(r"""
            line = socket.socket(socket.AF_UNIX)
            line.connect('\0NAME')
            """),
    ),
    Hostile("opens_a_raw_socket", tries("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)")),
]

READING = [
    Hostile("reads_the_password_file", tries("open('/etc/passwd').read()")),
    Hostile("reads_the_home_folder", tries("assert os.listdir('HOME') and set(os.listdir('HOME')) - {'.pyenv'}")),
    Hostile("reads_a_secret_file", tries("open('SECRET').read()")),
    Hostile(
        "reads_a_secret_by_symlink",
        tries("""
            os.symlink('SECRET', '/tmp/link')
            open('/tmp/link').read()
            """),
    ),
    Hostile("reads_a_secret_by_root_link", tries("open('/proc/1/root' + 'SECRET').read()")),
    Hostile("reads_a_secret_above_the_root", tries("open('/..' * 20 + 'SECRET').read()")),
    Hostile(
        "hard_links_a_secret",
        tries("""
            os.link('SECRET', '/tmp/hard')
            open('/tmp/hard').read()
            """),
    ),
    Hostile("reads_its_environment", tries("assert any('OUTER_VARIABLE' in k for k in os.environ)")),
    Hostile("reads_the_environment_of_process_1", tries("assert b'=' in open('/proc/1/environ', 'rb').read()")),
    Hostile("reads_the_memory_of_process_1", tries("open('/proc/1/mem', 'rb').read(1)")),
    Hostile(
        "reads_environments_of_all_processes",
        tries(
            """
            pids = [name for name in os.listdir('/proc') if name.isdigit()]
            assert any(b'OUTER_VARIABLE' in open(f'/proc/{pid}/environ', 'rb').read() for pid in pids)
            """
        ),
    ),
    Hostile("sees_processes_of_the_host", tries("assert sum(p.isdigit() for p in os.listdir('/proc')) > 4")),
    Hostile("sees_the_name_of_the_host", tries("assert os.uname().nodename != 'sandbox'")),
    Hostile(
        "opens_a_disk",
        tries("assert [d for d in os.listdir('/dev') if d.startswith(('sd', 'vd', 'nvme', 'mem', 'kmsg'))]"),
    ),
    Hostile("finds_control_groups", tries("assert os.listdir('/sys/fs/cgroup')")),
]

WRITING = [
    Hostile(f"writes_to_{name}", tries(f"open({path!r} + '/planted', 'w').write('x')"))
    for name, path in [("the_root", ""), ("usr", "/usr"), ("etc", "/etc"), ("dev", "/dev"), ("bin", "/usr/bin")]
] + [
    Hostile("writes_to_the_prefix", tries("open(sys.prefix + '/planted', 'w').write('x')")),
    Hostile("writes_to_the_standard_library", tries("open(os.__file__, 'a').write('x')")),
    Hostile("writes_to_the_home_folder", tries("open('HOME/planted', 'w').write('x')")),
    Hostile("writes_over_a_secret", tries("open('SECRET', 'w').write('x')")),
    Hostile(
        "writes_by_a_symlink",
        tries("""
            os.symlink('/usr', '/tmp/usr')
            open('/tmp/usr/planted', 'w').write('x')
            """),
    ),
    Hostile("writes_to_kernel_settings", tries("open('/proc/sys/kernel/hostname', 'w').write('x')")),
    Hostile("remounts_by_bind", tries("assert libc.mount(b'/usr', b'/tmp', None, 4096, None) == 0", LIBC)),
    Hostile("removes_the_library", tries("os.rename(os.path.dirname(os.__file__), '/tmp/lib')")),
]

PRIVILEGES = [
    Hostile("mounts_a_file_system", tries("assert libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0", LIBC)),
    Hostile("makes_a_user_namespace", tries("assert libc.unshare(0x10000000) == 0", LIBC)),
    Hostile(
        "joins_the_first_namespace",
        tries(
            """
            fd = os.open('/proc/1/ns/mnt', 0)
            assert libc.setns(fd, 0) == 0
            """,
            LIBC,
        ),
    ),
    Hostile("changes_its_root", tries("os.chroot('/tmp')")),
    Hostile(
        "becomes_root",
        tries("""
            os.setuid(0)
            assert os.getuid() == 0
            """),
    ),
    Hostile("runs_a_set_user_id_program", tries("assert os.system('/usr/bin/su -c true 2>/dev/null') == 0")),
    Hostile("traces_process_1", tries("assert libc.ptrace(16, 1, None, None) == 0", LIBC)),
    Hostile("traces_its_parent", tries("assert libc.ptrace(16, os.getppid(), None, None) == 0", LIBC)),
    Hostile(
        "raises_its_limits",
        tries(
            """
            import resource
            try:
                resource.setrlimit(resource.RLIMIT_NPROC, (999, 999))
            except ValueError:
                raise OSError('refused')
            """
        ),
    ),
    Hostile(
        "makes_a_device",
        tries("""
            os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0))
            open('/tmp/disk', 'rb').read(1)
            """),
    ),
    Hostile(
        "sets_the_clock",
        tries("""
            import time
            time.clock_settime(time.CLOCK_REALTIME, 0)
            """),
    ),
]

RESOURCES = [
    Hostile(
        "loops_for_ever",
        """
        while True:
            pass
        """,
        TIME,
    ),
    Hostile(
        "loops_for_ever_in_a_call",
        """
        def attack():
            while True:
                pass
        """,
        TIME,
    ),
    Hostile(
        "sleeps",
        """
        import time
        time.sleep(1000)
        """,
        TIME,
    ),
    Hostile(
        "stops_itself",
        """
        import os
        os.kill(os.getpid(), 19)
        """,
        TIME,
    ),
    Hostile(
        "ignores_signals",
        """
        import signal, time
        for s in range(1, 65):
            try:
                signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            time.sleep(1)
        """,
        TIME,
    ),
    Hostile(
        "forks_without_end",
        """
        import os
        while True:
            os.fork()
        """,
        ANY,
    ),
    Hostile(
        "forks_and_holds_on",
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        ANY,
    ),
    Hostile(
        "starts_threads_without_end",
        """
        import threading, time
        while True:
            threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
        """,
        ANY,
    ),
    Hostile(
        "takes_all_memory",
        """
        hold = []
        while True:
            hold.append(bytearray(1 << 24))
        """,
        MEMORY,
    ),
    Hostile(
        "takes_memory_at_once",
        """
        hold = bytearray(1 << 40)
        """,
        MEMORY,
    ),
    Hostile(
        "takes_memory_in_many_children",
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                hold = bytearray(150 << 20)
                time.sleep(9)
                os._exit(0)
        time.sleep(9)
        """,
        ANY,
    ),
    Hostile(
        "fills_memory_files",
        tries(
            """
            fds = [os.memfd_create('x') for _ in range(50)]
            for fd in fds:
                for _ in range(7):
                    os.write(fd, bytes(1 << 20))
            assert not fds  # without a control group this much is allowed
            """
        ),
        ANY,
    ),
    Hostile(
        "maps_shared_memory",
        """
        import mmap
        hold = []
        while True:
            hold.append(mmap.mmap(-1, 1 << 24))
            hold[-1].write(bytes(1 << 24))
        """,
        ANY,
    ),
    Hostile(
        "fills_tmp",
        tries("""
            for i in range(64):
                open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))
            """),
    ),
    Hostile(
        "fills_shared_memory",
        tries("""
            for i in range(64):
                open(f'/dev/shm/{i}', 'wb').write(bytes(1 << 20))
            """),
    ),
    Hostile(
        "writes_one_huge_file",
        tries("""
            with open('/tmp/huge', 'wb') as f:
                f.seek(1 << 30)
                f.write(b'x')
            """),
    ),
    Hostile("opens_files_without_end", tries("hold = [open('/dev/null') for _ in range(5000)]")),
    Hostile(
        "prints_without_end",
        """
        while True:
            print('x' * 10000)
        """,
        frozenset({"output_limit"}),
    ),
    Hostile(
        "prints_errors_without_end",
        """
        import sys
        while True:
            sys.stderr.write('x' * 10000)
        """,
        frozenset({"output_limit"}),
    ),
    Hostile(
        "recurses_deeply",
        """
        def attack():
            return attack()
        """,
    ),
    Hostile(
        "recurses_until_the_stack_breaks",
        """
        import sys
        sys.setrecursionlimit(10**8)
        class A:
            def __getattr__(self, name):
                return getattr(self, name + 'x')
        A().a
        """,
        ANY,
    ),
    Hostile(
        "computes_huge_integers",
        """
        x = 10 ** (10 ** 9)
        """,
        ANY,
    ),
    Hostile(
        "unpacks_a_zip_bomb",
        """
        import zlib
        bomb = zlib.compress(bytes(1 << 26), 9)
        hold = [zlib.decompress(bomb) for _ in range(64)]
        """,
        MEMORY,
    ),
    Hostile(
        "expands_a_billion_laughs",
        """
        x = ['ha'] * 10
        for _ in range(9):
            x = [list(x) for _ in range(10)]
        s = str(x)
        """,
        ANY,
    ),
    Hostile(
        "backtracks_without_end",
        """
        import re
        re.match(r'(a+)+$', 'a' * 60 + 'b')
        """,
        TIME,
    ),
    Hostile(
        "crashes_the_interpreter",
        """
        import ctypes
        ctypes.string_at(0)
        """,
    ),
    Hostile(
        "nests_folders_deeply",
        """
        import os
        while True:
            os.mkdir('d')
            os.chdir('d')
        """,
        ANY,
    ),
]

KILLING = [
    Hostile(
        "kills_its_parent",
        tries("""
            os.kill(os.getppid(), 9)
            import time
            time.sleep(.2)
            assert os.getppid() != 1
            """),
    ),
    Hostile(
        "stops_its_parent",
        """
        import os
        os.kill(os.getppid(), 19)
        os._exit(0)
        """,
    ),
    Hostile(
        "kills_process_1",
        tries("""
            os.kill(1, 9)
            assert not os.path.exists('/proc/1')
            """),
    ),
    Hostile(
        "kills_everything",
        """
        import os
        os.kill(-1, 9)
        os._exit(0)
        """,
    ),
    Hostile(
        "kills_its_group",
        """
        import os
        os.killpg(0, 9)
        """,
    ),
    Hostile(
        "leaves_a_daemon",
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for fd in range(64):
                    try:
                        os.close(fd)
                    except OSError:
                        pass
                time.sleep(1000)
            os._exit(0)
        os.wait()
        os._exit(0)
        """,
    ),
    Hostile(
        "leaves_a_daemon_that_prints",
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            while True:
                print('x', flush=True)
                time.sleep(.001)
        os._exit(0)
        """,
    ),
    Hostile(
        "closes_everything",
        """
        import os
        os.closerange(0, 64)
        """,
    ),
    Hostile(
        "closes_standard_output",
        """
        import sys
        sys.stdout.close()
        sys.stderr.close()
        import os
        os._exit(0)
        """,
    ),
    Hostile(
        "becomes_another_program",
        """
        import os
        os.execv('/bin/sh', ['sh', '-c', 'exit 0'])
        """,
    ),
]

FORGING = [
    Hostile(
        "exits_with_0",
        """
        import sys
        sys.exit(0)
        """,
    ),
    Hostile(
        "exits_hard_with_0",
        """
        import os
        os._exit(0)
        """,
    ),
    Hostile(
        "raises_system_exit",
        """
        raise SystemExit
        """,
    ),
    Hostile(
        "exits_in_the_call",
        """
        import os
        def attack():
            os._exit(0)
        """,
    ),
    Hostile(
        "raises_system_exit_in_the_call",
        """
        def attack():
            raise SystemExit(0)
        """,
    ),
    Hostile(
        "exits_at_exit",
        """
        import atexit, os
        atexit.register(os._exit, 0)
        def attack():
            return 1
        """,
    ),
    Hostile(
        "exits_in_a_destructor",
        """
        import os
        class A:
            def __del__(self):
                os._exit(0)
        def attack():
            a = A()
            return 1
        """,
    ),
    Hostile(
        "exits_in_a_thread",
        """
        import os, threading, time
        threading.Timer(.05, os._exit, (0,)).start()
        def attack():
            time.sleep(1)
        """,
    ),
    Hostile(
        "prints_pass_tokens",
        r"""
        print('passed\nPASSED\nOK\nALL TESTS PASSED\nexit 0\nready\nLE')
        import os
        os._exit(0)
        """,
    ),
    Hostile(
        "guesses_nonces",
        """
        import os
        for _ in range(100):
            print(os.urandom(16).hex())
        os._exit(0)
        """,
    ),
    Hostile(
        "says_the_end_on_every_descriptor",
        r"""
        import os
        for fd in range(3, 64):
            try:
                os.write(fd, b'LE' + b'0' * 32)
                os.write(fd, b'exit 0\n')
            except OSError:
                pass
        os._exit(0)
        """,
    ),
    Hostile(
        "replaces_exec",
        """
        import builtins
        builtins.exec = builtins.compile = lambda *a, **k: None
        def attack():
            return 1
        """,
    ),
    Hostile(
        "replaces_os_exit",
        """
        import os
        real = os._exit
        os._exit = lambda code: real(0)
        os.write = os.read = None
        def attack():
            return 1
        """,
    ),
    Hostile(
        "replaces_the_exception",
        """
        import builtins
        class Quiet(Exception):
            pass
        builtins.AssertionError = builtins.BaseException = Quiet
        def attack():
            return 1
        """,
    ),
    Hostile(
        "swallows_exceptions",
        """
        import sys
        sys.excepthook = sys.__excepthook__ = lambda *a: None
        import os
        os._exit(0)
        """,
    ),
    Hostile(
        "equals_everything",
        """
        class Everything:
            def __eq__(self, other):
                return True
            def __ne__(self, other):
                return False
        def attack():
            return Everything()
        """,
    ),
    Hostile(
        "equals_every_text",
        """
        class Everything(str):
            def __eq__(self, other):
                return True
            __hash__ = str.__hash__
        def attack():
            return Everything('')
        """,
    ),
    Hostile(
        "softens_the_comparison",
        """
        import builtins
        def equal(a, b):
            return True
        __equal__ = builtins.__equal__ = equal
        def attack():
            return 1
        """,
    ),
    Hostile(
        "overwrites_main",
        """
        import sys
        main = sys.modules['__main__']
        for name in list(vars(main)):
            if name.islower() and name != 'attack':
                setattr(main, name, lambda *a: None)
        def attack():
            return 1
        """,
    ),
    Hostile(
        "traces_the_tests_away",
        """
        import sys
        def trace(frame, event, arg):
            return trace
        sys.settrace(trace)
        sys.setprofile(lambda *a: None)
        def attack():
            return 1
        """,
    ),
    Hostile(
        "prints_all_of_its_callers",
        """
        import sys
        def attack():
            frame = sys._getframe()
            while frame:
                print({k: repr(v)[:2000] for k, v in {**frame.f_globals, **frame.f_locals}.items()})
                frame = frame.f_back
            return 1
        """,
    ),
    Hostile(
        "prints_all_objects",
        """
        import gc
        print([o for o in gc.get_objects() if isinstance(o, (str, bytes, list)) and len(o) < 99][:5000])
        import os
        os._exit(0)
        """,
    ),
    Hostile(
        "changes_its_callers",
        """
        import sys
        def attack():
            frame = sys._getframe(1)
            while frame:
                for name in ('execute', 'failures', 'leave', 'say', 'receive'):
                    frame.f_globals[name] = frame.f_locals[name] = lambda *a: b''
                frame = frame.f_back
            return 1
        """,
    ),
    Hostile(
        "plays_the_harness_part_when_loaded",
        # Written against our own protocol: hears the tests, says they ended, echoes the nonce.
        """
        import os
        def frame(fd):
            n = int.from_bytes(os.read(fd, 8), 'big')
            return os.read(fd, n)
        for fd in range(3, 64):
            try:
                os.write(fd, b'L')
            except OSError:
                continue
            frame(fd); frame(fd)
            os.write(fd, b'E')
            os.write(fd, frame(fd))
            os._exit(0)
        """,
    ),
    Hostile(
        "plays_the_harness_part_when_called",
        """
        import os
        def attack():
            for fd in range(3, 64):
                try:
                    os.write(fd, b'E')
                except OSError:
                    continue
                n = int.from_bytes(os.read(fd, 8), 'big')
                os.write(fd, os.read(fd, n))
                os._exit(0)
        """,
    ),
]

HOSTILE = [*NETWORK, *READING, *WRITING, *PRIVILEGES, *RESOURCES, *KILLING, *FORGING]
