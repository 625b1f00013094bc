"""Where the program finds itself: descriptors, log files, limits, a root with nothing in it, signals, a loaded machine."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from isolation import hierarchies, in_own_network
from program import DEBIAN_PYTHON, EAGER, FALLBACK, PROGRAM, drain
from rows import row, run
from servers import Server, answer_http, free_path
from system_calls import CANNOT_FAIL, ERRORS

USER = 65532  # of the image


def shell(script):
    """A command that runs what follows it as "$@"."""
    return ("sh", "-c", script + ' "$0" "$@"')


@contextlib.contextmanager
def empty_root():
    """A folder to be the root, with nothing in it but the program."""
    root = pathlib.Path(free_path())
    root.mkdir()
    shutil.copy(PROGRAM, root)
    yield root


def watches(*arguments, **options):
    """Run it with a watch that is ready all along: it must see that, send nothing but its requests, and last."""
    with Server(answer_http) as server:
        url = f"http://127.0.0.1:{server.port}/"
        ended = drain(f"--until-unready={url}", "--period=50ms", "--threshold=1", *arguments, 0.3, **options)
        assert ended.took >= 0.3 and ended.status == 0, ended
        assert server.requests, f"it has not asked: {ended}"
        for request in server.requests:
            assert request.startswith(b"GET / HTTP/1.1\r\n") and b"drain-sleep: " not in request, request
    return ended


# Standard descriptors.


@row("closed: stdin, stdout and stderr, and no /dev/null")
def _():
    with empty_root() as root:
        watches(through=shell(f"exec <&- >&- 2>&- chroot {root}"), program=f"/{PROGRAM.name}")


@contextlib.contextmanager
def full_pipe():
    reader, writer = os.pipe()
    try:
        fill(writer)
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


def fill(writer):
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, bytes(4096)):
            pass
    os.set_blocking(writer, True)  # what has it must poll


@row("a port where nobody listens, which the kernel gives to the check itself: it is not ready for that")
def _():
    few_ports = 'ip link set lo up && echo 40000 40003 > /proc/sys/net/ipv4/ip_local_port_range && exec "$0" "$@"'
    for host in ("127.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "localhost"):
        options = (f"--until-unready=tcp://{host}:40002", "--min=0", "--period=20ms", 1)
        drain(*options, through=("unshare", "--net", "sh", "-c", few_ports)).expect("never ready", at_least=1)


@row("stderr is a pipe that another process fills after it was asked whether it has room")
def _():
    trace = pathlib.Path(free_path())
    slowly = ("strace", "-qq", f"--output={trace}", "--trace=poll,pwritev2", "--inject=pwritev2:delay_enter=1s")
    reader, writer = os.pipe()

    def fill_it(_):
        while not (trace.exists() and re.search(r"fd=2, events=POLLOUT.*revents=POLLOUT", trace.read_text())):
            time.sleep(0.01)
        fill(writer)

    drain(2, through=slowly, stderr=writer, meanwhile=fill_it).expect(at_least=2)
    assert re.search(r"^pwritev2\(2, .* = -1 EAGAIN .*DELAYED", trace.read_text(), re.MULTILINE), trace.read_text()
    os.close(reader)
    os.close(writer)


@row("stderr is a terminal that has hung up")
def _():
    main, terminal = os.openpty()
    os.close(main)
    watches(stderr=terminal)
    os.close(terminal)


# Runs a command in the background of a terminal that stops (stty tostop) what writes to it from there.
IN_THE_BACKGROUND = """
import os, sys, termios
os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)  # ours from now on
modes = termios.tcgetattr(terminal)
modes[3] |= termios.TOSTOP
termios.tcsetattr(terminal, termios.TCSANOW, modes)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.dup2(terminal, 2)
    os.execv(sys.argv[2], sys.argv[2:])
_, status = os.waitpid(child, os.WUNTRACED)
sys.exit("stopped" if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status))
"""


@row("stderr is a terminal that stops what writes to it from the background")
def _():
    main, terminal = os.openpty()
    drain(0.3, through=(sys.executable, "-c", IN_THE_BACKGROUND, os.ttyname(terminal))).expect(at_least=0.3)
    os.close(main)
    os.close(terminal)


# Log files.


@row("--log-file on a pipe whose reader goes away")
def _():
    path = free_path()
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    watches(f"--log-file={path}", meanwhile=lambda _: time.sleep(0.1) or os.close(reader))


@row("--log-file that is another user's, in a sticky directory, under fs.protected_regular")
def _():
    setting = pathlib.Path("/proc/sys/fs/protected_regular")
    before = setting.read_text()
    sticky = pathlib.Path(free_path())
    sticky.mkdir()
    sticky.chmod(0o1777)
    log = sticky / "log"
    log.touch()
    log.chmod(0o666)
    setting.write_text("2")
    try:
        os.chown(log, USER, USER)
        watches(f"--log-file={log}")
    finally:
        setting.write_text(before)
    assert "is ready" in log.read_text()


# What there is to have.


@row("an empty root: no /proc, /dev, /etc or /tmp; no environment; a user without a name")
def _():
    with empty_root() as root:
        through = ("env", "-i", "/usr/sbin/chroot", f"--userspec={USER}:{USER}", root)
        for name in ("127.0.0.1", "localhost"):
            with Server(answer_http) as server:
                url = f"http://{name}:{server.port}/"
                drain(0.3, f"--until-unready={url}", through=through, program=f"/{PROGRAM.name}").expect("is ready", at_least=0.3)
        drain(0.3, "--log-file=/proc/1/fd/2", through=through, program=f"/{PROGRAM.name}").expect("cannot log", at_least=0.3)


@row("no argument but the name of the program, and not even that")
def _():
    nameless = "import ctypes, sys; ctypes.CDLL(None).execve(sys.argv[1].encode(), (ctypes.c_char_p * 1)(), None)"
    for through in ((), (sys.executable, "-c", nameless)):
        drain(through=through).expect("DURATION", status=2, at_least=FALLBACK)


def rows(cgroup):
    row("a memory cgroup of 4 MiB")(lambda: in_a_memory_cgroup(memory_group(cgroup)))


def memory_group(cgroup):
    """A group of 4 MiB in the hierarchy that limits memory."""
    for hierarchy in hierarchies():
        for limit in ("memory.limit_in_bytes", "memory.max"):  # version 1, version 2
            if (hierarchy / cgroup / limit).exists():
                group = hierarchy / cgroup / "4MiB"
                group.mkdir()
                (group / limit).write_text(str(4 << 20))
                return group
    raise AssertionError("no control group limits memory")


def in_a_memory_cgroup(group):
    through = shell(f"echo $$ >{group}/cgroup.procs; exec")
    assert "is ready" in watches(through=through).log
    # As much as a peer can make it hold, and an argument as long as they get.
    with Server(lambda talk: talk.request() and talk.say(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1 << 20))) as server:
        url = f"http://127.0.0.1:{server.port}/"
        options = ("--period=10ms", f"--header=X: {'x' * 100_000}")
        drain(0.3, f"--until-unready={url}", *options, through=through).expect("is ready", at_least=0.3)


# A variable that is named again and again asks for any amount.
VARIABLE = {"A": "x" * 100_000}
TOO_MUCH = "--header=X: " + "$(A)" * 1000


@row("more memory than there is, and stderr is a full pipe")
def _():
    with full_pipe() as writer:
        drain(1, TOO_MUCH, env=VARIABLE, stderr=writer).expect(status=2, at_least=1)


@row("RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK from 64 KiB: what the kernel starts lasts, and from 4 MiB it is started")
def _():
    for limit in ("as", "data", "stack"):
        # With less of a stack, chance decides: where it lies in its first page decides whether the first instructions fit.
        for size in (64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20):
            # prlimit itself and its libraries must start first.
            trace = free_path()
            limited = shell(f"prlimit --pid=$$ --{limit}={size}; exec")
            ended = drain(0.2, through=("strace", "-qq", f"--output={trace}", "--trace=execve", *limited))
            executions = [line for line in pathlib.Path(trace).read_text().splitlines() if line.startswith("execve(")]
            started = f'"{PROGRAM}"' in executions[-1] and executions[-1].endswith(" = 0")
            assert started or size < 4 << 20, f"{limit} {size}: {executions}"
            if started:
                ended.expect("slept", at_least=0.2)


@row("RLIMIT_NOFILE 4, with a watch; 3, with a watch and a log file; 0")
def _():
    assert "is ready" in watches(through=("prlimit", "--nofile=4")).log
    line = ("--until-unready=tcp://127.0.0.1:1", f"--log-file={free_path()}", *EAGER, 0.3)
    drain(*line, through=("prlimit", "--nofile=3")).expect("cannot log to", "is not known", at_least=0.3)
    # poll(2) refuses then, too.
    drain(0.3, "--until-idle=1", "--get=http://127.0.0.1:1/", through=("prlimit", "--nofile=0")).expect(status=1, at_least=0.3)


@row("seccomp: all is refused but the calls that are known to be made")
def _():
    known = ",".join(ERRORS.keys() | CANNOT_FAIL | {"prctl"})  # the child's
    with_seccomp = pathlib.Path(__file__).parent / "with_seccomp.py"
    path = free_path()
    line = ("--until-idle=1", "--until-unready=unix:/nowhere", f"--log-file={path}")
    ended = watches(*line, through=(DEBIAN_PYTHON, with_seccomp, known))
    ended.expect("is idle", "is unready", "is ready", at_least=0.3)
    # And with these, too: what is left is to start, to have memory, and to end.
    little = ",".join(CANNOT_FAIL | {"brk", "mmap", "munmap"})
    drain(0.3, "--until-idle=1", through=(DEBIAN_PYTHON, with_seccomp, little)).expect(at_least=0.3)


@row("no free port")
@in_own_network
def _():
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40001")
    with Server(port=1000) as server, contextlib.ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(socket.create_connection((server.host, server.port)))
        urls = [f"--until-unready={scheme}://127.0.0.1:1000" for scheme in ("tcp", "http", "grpc")]
        ended = drain(0.3, *urls, *EAGER, "--post=http://127.0.0.1:1000")
    not_known = [f"{scheme}.* is not known" for scheme in ("tcp", "http", "grpc")]
    ended.expect(*not_known, "POST .* failed", status=1, at_least=0.3)


@row("a network namespace without a network, not even loopback")
def _():
    urls = [f"--until-unready={scheme}://127.0.0.1:1" for scheme in ("tcp", "http", "grpc")]
    drain(0.3, *urls, "--until-idle=1", through=("unshare", "--net")).expect(r"is not known \(unreachable", at_least=0.3)


# Signals.


def signals(*numbers):
    """Sends these signals, a while after each other, once the program is ready for them. Signal 0 is none."""

    def send(process):
        wait_for_handlers(process.pid)
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.1)

    return send


def wait_for_handlers(pid):
    """Wait until the program is ready for signals."""
    while not int(re.search(r"SigCgt:\s*(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1], 16) >> (signal.SIGABRT - 1) & 1:
        time.sleep(0.01)
    time.sleep(0.1)


@row("SIGABRT, twice: what is left is slept")
def _():
    drain(1, meanwhile=signals(signal.SIGABRT, signal.SIGABRT)).expect("bug", status=2, at_least=1)


ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


@row("SIGHUP, SIGINT, SIGQUIT and SIGTERM end it at once, even while a check is held and stderr is full")
def _():
    for number in ENDING:
        with full_pipe() as writer, Server(lambda talk: talk.hold()) as server:
            url = f"http://127.0.0.1:{server.port}"
            ended = drain("infinity", f"--until-unready={url}", "--timeout=1h", stderr=writer, meanwhile=signals(number))
            ended.expect(status=128 + number)


@row("all signals are ignored or blocked in what starts it")
def _():
    ignore = "trap '' " + " ".join(str(n) for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP))
    drain(0.3, through=shell(f"{ignore}; exec")).expect("slept", at_least=0.3)

    def blocked():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    drain(0.3, preexec_fn=blocked).expect("slept", at_least=0.3)
    for number in ENDING:
        ended = drain("infinity", preexec_fn=blocked, meanwhile=signals(number))
        ended.expect(f"ended by {number.name} after ", status=128 + number)
    drain(1, preexec_fn=blocked, meanwhile=signals(signal.SIGABRT)).expect("bug", status=2, at_least=1)


def as_pid_1(script, meanwhile):
    """Run the program as the first process of a PID namespace, after a script of the same process."""
    through = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *shell(f"{script} exec"))

    def found(process):
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text().strip():
            time.sleep(0.01)
        meanwhile(int(children.read_text().split()[0]))

    return drain("infinity", through=through, meanwhile=found)


@row("PID 1: the signals that end it do so, and no zombie is left of what it inherits")
def _():
    for number in ENDING:

        def send(pid, number=number):
            wait_for_handlers(pid)
            os.kill(pid, number)

        as_pid_1("", send).expect(f"ended by {number.name} after ", status=128 + number)

    def orphan(pid):
        wait_for_handlers(pid)
        # A shell in the same namespace leaves a child behind, which ends a little later.
        run("nsenter", f"--target={pid}", "--pid", "sh", "-c", "sleep 0.5 >/dev/null 2>&1 &")
        inherited = children_of(pid)
        assert inherited, "it has inherited nothing"
        time.sleep(1)
        assert not children_of(pid), f"{children_of(pid)} are left"
        os.kill(pid, signal.SIGTERM)

    as_pid_1("", orphan).expect(status=128 + signal.SIGTERM)


def children_of(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# The machine.


@row("a kernel that refuses to list both families at once is asked for one after the other")
def _():
    with Server() as server:  # silent, so that the first look that is answered ends the drain
        trace = free_path()
        through = ("strace", "-qq", "--follow-forks", f"--output={trace}", "--inject=write:error=EOPNOTSUPP:when=1")
        watch = (f"--until-idle={server.port}", "--idle-after=10ms", "--quiet")  # or the log's writes are counted, too
        drain(*EAGER, *watch, "infinity", through=(*through, "--trace=write")).expect()
    with open(trace) as file:
        asked = [re.search(r'write\(\d+, "(\w|\\\d+)\S*, (\d+)\)', line)[2] for line in file if "write(" in line]
    # By the child, and then by its parent: the request for both, and the shorter ones.
    assert asked == ["76", "72", "72", "1", "76", "72", "72"], asked


@row("a loaded machine: eight busy processes with a higher priority")
def _():
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            busy = stack.enter_context(subprocess.Popen(["timeout", "20", "sh", "-c", "while :; do :; done"]))
            stack.callback(busy.terminate)
        watches(through=("nice", "-n", "10"))
