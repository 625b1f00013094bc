"""Where the program finds itself: descriptors, log files, limits, a root with nothing in it, signals, a loaded machine."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import program
import pytest
from answers import FALLBACK, LONG, free_path, strace
from isolation import hierarchies
from program import EAGER, drain
from room import run, wait_until
from serving import Server, http
from test_system_calls import CANNOT_FAIL, ERRORS

USER = 65532  # of the image


def shell(script):
    """A command that runs what follows it as "$@"."""
    return ("sh", "-c", script + ' "$0" "$@"')


@pytest.fixture
def empty_root(tmp_path):
    """A folder to be the root, with nothing in it but the program."""
    shutil.copy(program.path(), tmp_path / "drain-sleep")
    return tmp_path


def watches(*arguments, **options):
    """Run it with a watch that is ready all along: it must see that, send nothing but its requests, and last."""
    with Server(http()) as server:
        url = f"http://127.0.0.1:{server.port}/"
        ended = drain(f"--until-unready={url}", "--period=50ms", "--threshold=1", *arguments, LONG, **options)
        ended.expect(at_least=LONG)
        assert server.requests, f"it has not asked: {ended}"
        for request in server.requests:
            assert request.startswith(b"GET / HTTP/1.1\r\n") and b"drain-sleep: " not in request, request
    return ended


# Standard descriptors.


def test_stdin_stdout_and_stderr_are_closed_and_there_is_no_dev_null(empty_root):
    watches(through=shell(f"exec <&- >&- 2>&- chroot {empty_root}"), program="/drain-sleep")


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


@pytest.mark.parametrize("host", [
    "127.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "localhost",
])
def test_a_port_that_the_kernel_gives_to_the_check_itself_is_not_ready(own_network, host):
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40003")
    options = (f"--until-unready=tcp://{host}:40002", "--min=0", "--period=20ms")
    drain(*options, 1).expect("never ready", at_least=1)


def test_stderr_is_a_pipe_that_another_process_fills_after_it_was_asked_whether_it_has_room():
    trace = free_path()
    slowly = strace("--trace=poll,pwritev2", "--inject=pwritev2:delay_enter=3s", trace=trace)
    reader, writer = os.pipe()

    def fill_it(_):
        while not (trace.exists() and re.search(r"fd=2, events=POLLOUT.*revents=POLLOUT", trace.read_text())):
            time.sleep(0.01)
        fill(writer)

    drain(4, through=slowly, stderr=writer, meanwhile=fill_it).expect(at_least=4)
    assert re.search(r"^pwritev2\(2, .* = -1 EAGAIN .*DELAYED", trace.read_text(), re.MULTILINE), trace.read_text()
    os.close(reader)
    os.close(writer)


def test_stderr_is_a_terminal_that_has_hung_up():
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


def test_stderr_is_a_terminal_that_stops_what_writes_to_it_from_the_background():
    main, terminal = os.openpty()
    drain(0.3, through=(sys.executable, "-c", IN_THE_BACKGROUND, os.ttyname(terminal))).expect(at_least=0.3)
    os.close(main)
    os.close(terminal)


# Log files.


def test_log_file_is_a_pipe_whose_reader_goes_away():
    path = free_path()
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    watches(f"--log-file={path}", meanwhile=lambda _: time.sleep(0.1) or os.close(reader))


def test_log_file_is_another_users_in_a_sticky_directory_under_fs_protected_regular(tmp_path):
    setting = pathlib.Path("/proc/sys/fs/protected_regular")
    before = setting.read_text()
    tmp_path.chmod(0o1777)
    log = tmp_path / "log"
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


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_empty_root_without_proc_dev_etc_or_tmp_and_no_environment_and_a_user_without_a_name(empty_root, name):
    through = ("env", "-i", "/usr/sbin/chroot", f"--userspec={USER}:{USER}", empty_root)
    with Server(http()) as server:
        line = (f"--until-unready=http://{name}:{server.port}/", "--log-file=/proc/1/fd/2", LONG)
        drain(*line, through=through, program="/drain-sleep").expect("is ready", "cannot log", at_least=LONG)


NAMELESS = "import ctypes, sys; ctypes.CDLL(None).execve(sys.argv[1].encode(), (ctypes.c_char_p * 1)(), None)"


def test_no_argument_and_no_name():
    drain(through=(sys.executable, "-c", NAMELESS)).expect("DURATION", status=2, at_least=FALLBACK)


def memory_group():
    """A group of 4 MiB in the hierarchy that limits memory."""
    for hierarchy in hierarchies():
        for limit in ("memory.limit_in_bytes", "memory.max"):  # version 1, version 2
            group = hierarchy / os.environ["DRAIN_SLEEP_CGROUP"] / "4MiB"
            if (group.parent / limit).exists():
                group.mkdir()
                (group / limit).write_text(str(4 << 20))
                return group
    raise AssertionError("no control group limits memory")


def test_a_memory_cgroup_of_4_mib():
    through = shell(f"echo $$ >{memory_group()}/cgroup.procs; exec")
    assert "is ready" in watches(through=through).log
    # As much as a peer can make it hold, and an argument as long as they get.
    with Server(lambda talk: talk.request() and talk.say(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1 << 20))) as server:
        url = f"http://127.0.0.1:{server.port}/"
        options = ("--period=10ms", f"--header=X: {'x' * 100_000}")
        drain(LONG, f"--until-unready={url}", *options, through=through).expect("is ready", at_least=LONG)


# A variable that is named again and again asks for any amount.
VARIABLE = {"A": "x" * 100_000}
TOO_MUCH = "--header=X: " + "$(A)" * 1000


def test_more_memory_than_there_is_and_stderr_is_a_full_pipe():
    with full_pipe() as writer:
        drain(1, TOO_MUCH, env=VARIABLE, stderr=writer).expect(status=2, at_least=1)


@pytest.mark.parametrize("limit", ["as", "data", "stack"])
# With less of a stack, chance decides: where it lies in its first page decides whether the first instructions fit.
@pytest.mark.parametrize("size", [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20])
def test_a_limit_of_memory(limit, size):
    """What the kernel starts lasts, and from 4 MiB it is started."""
    trace = free_path()
    # prlimit itself and its libraries must start first.
    limited = shell(f"prlimit --pid=$$ --{limit}={size}; exec")
    ended = drain(0.2, through=(*strace("--trace=execve", trace=trace), *limited))
    executions = [line for line in trace.read_text().splitlines() if line.startswith("execve(")]
    started = f'"{program.path()}"' in executions[-1] and executions[-1].endswith(" = 0")
    assert started or size < 4 << 20, executions
    if started:
        is_short = size < 4 << 20 and "out of memory" in ended.log
        ended.expect("slept|out of memory", status=2 if is_short else 0, at_least=0.2)


def test_not_one_descriptor():
    """poll(2) refuses then, too."""
    drain(0.3, "--until-idle=1", "--get=http://127.0.0.1:1/", through=("prlimit", "--nofile=0")).expect(status=1, at_least=0.3)


def test_seccomp_refuses_all_but_the_calls_that_are_known_to_be_made():
    known = ",".join(ERRORS.keys() | CANNOT_FAIL)
    with_seccomp = (sys.executable, pathlib.Path(__file__).parent / "with_seccomp.py")
    line = ("--until-idle=1", "--until-unready=unix:/nowhere", f"--log-file={free_path()}")
    watches(*line, through=(*with_seccomp, known)).expect("is idle", "is unready", "is ready", at_least=LONG)
    # And with these, too: what is left is to start, to have memory, and to end.
    little = ",".join(CANNOT_FAIL | {"brk", "mmap", "munmap"})
    drain(0.3, "--until-idle=1", through=(*with_seccomp, little)).expect(at_least=0.3)


@pytest.mark.parametrize("error", ["EPERM", "EACCES", "EAFNOSUPPORT"])
def test_netlink_is_refused_and_the_log_says_why(error, tmp_path):
    """By the kernel's own number, whatever the words. It is asked once, since the node may load a module or write a record then."""
    refused = strace("--trace=socket", f"--inject=socket:error={error}", trace=tmp_path / "trace")
    number = getattr(errno, error)
    line = ("--until-idle=1", "--until-idle=2", "--period=20ms")
    drain(LONG, *line, through=refused).expect(rf"is not known \(.*\b{number}\)", "in full", at_least=LONG)
    assert (tmp_path / "trace").read_text().count("INJECTED") == 1


def test_no_free_port(own_network):
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40001")
    with Server(port=1000) as server, contextlib.ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(socket.create_connection((server.host, server.port)))
        urls = [f"--until-unready={scheme}://127.0.0.1:1000" for scheme in ("tcp", "http", "grpc")]
        ended = drain(LONG, *urls, *EAGER, "--post=http://127.0.0.1:1000")
    not_known = [f"{scheme}.* is not known" for scheme in ("tcp", "http", "grpc")]
    ended.expect(*not_known, "POST .* failed", status=1, at_least=LONG)


def test_a_network_namespace_without_a_network_not_even_loopback():
    urls = [f"--until-unready={scheme}://127.0.0.1:1" for scheme in ("tcp", "http", "grpc")]
    drain(LONG, *urls, "--until-idle=1", through=("unshare", "--net")).expect(r"is not known \(unreachable", at_least=LONG)


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


def test_sigabrt_twice():
    """What is left is slept."""
    drain(LONG, meanwhile=signals(signal.SIGABRT, signal.SIGABRT)).expect("bug", status=2, at_least=LONG)


ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
each_ending = pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)


@each_ending
def test_a_signal_ends_it_at_once_while_a_check_is_held_and_stderr_is_full(number):
    with full_pipe() as writer, Server(lambda talk: talk.hold()) as server:
        url = f"http://127.0.0.1:{server.port}"
        line = ("infinity", f"--until-unready={url}", "--timeout=1h")
        drain(*line, stderr=writer, meanwhile=signals(number)).expect(status=128 + number)


def blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def test_all_signals_are_ignored_or_blocked_in_what_starts_it():
    ignore = "trap '' " + " ".join(str(n) for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP))
    drain(0.3, through=shell(f"{ignore}; exec")).expect("slept", at_least=0.3)
    drain(0.3, preexec_fn=blocked).expect("slept", at_least=0.3)
    drain(LONG, preexec_fn=blocked, meanwhile=signals(signal.SIGABRT)).expect("bug", status=2, at_least=LONG)


@each_ending
def test_a_signal_ends_it_though_it_came_blocked(number):
    ended = drain("infinity", preexec_fn=blocked, meanwhile=signals(number))
    ended.expect(f"ended by {number.name} after ", status=128 + number)


def as_pid_1(script, meanwhile):
    """Run the program as the first process of a PID namespace, after a script of the same process."""
    through = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *shell(f"{script} exec"))

    def found(process):
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text().strip():
            time.sleep(0.01)
        meanwhile(int(children.read_text().split()[0]))

    return drain("infinity", through=through, meanwhile=found)


@each_ending
def test_a_signal_ends_it_as_pid_1(number):
    def send(pid):
        wait_for_handlers(pid)
        os.kill(pid, number)

    as_pid_1("", send).expect(f"ended by {number.name} after ", status=128 + number)


def test_as_pid_1_it_leaves_no_zombie_of_what_it_inherits():
    def orphan(pid):
        wait_for_handlers(pid)
        # A shell in the same namespace leaves a child behind, which then ends.
        run("nsenter", f"--target={pid}", "--pid", "sh", "-c", "sleep 600 >/dev/null 2>&1 &")
        (inherited,) = children_of(pid)
        os.kill(int(inherited), signal.SIGKILL)
        wait_until("it is reaped", lambda: not children_of(pid), program.MOST_SECONDS)
        os.kill(pid, signal.SIGTERM)

    as_pid_1("", orphan).expect(status=128 + signal.SIGTERM)


def children_of(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# The machine.


def test_a_loaded_machine_with_eight_busy_processes_of_a_higher_priority():
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            busy = stack.enter_context(subprocess.Popen(["timeout", "20", "sh", "-c", "while :; do :; done"]))
            stack.callback(busy.terminate)
        watches(through=("nice", "-n", "10"))
