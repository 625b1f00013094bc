"""Every system call that the program makes fails: each time that it is made, and for good, in each way that is plausible.

strace(1) makes them fail. What comes before set_tid_address(2) is libc's own start, and clock_gettime(2) is the vDSO's; it
fails in clock.py."""

import collections
import concurrent.futures
import contextlib
import functools
import re

from program import EAGER, FALLBACK, LATE, drain
from rows import row
from servers import Server, answer_grpc, answer_http, busy_port, free_path

# Local wants only: they say nothing of the peer, so they may not end a drain that any unready check would end.
ERRORS = {
    "brk": "ENOMEM",
    "close": "EIO EINTR EBADF",
    "connect": "EADDRNOTAVAIL EACCES EPERM ENOBUFS ENOMEM EINTR EBADF EAFNOSUPPORT EINVAL",
    "fcntl": "EINVAL EPERM EBADF",
    "fork": "EAGAIN ENOMEM ENOSYS EPERM",
    "getpeername": "ENOBUFS ENOTCONN EPERM ENOSYS EBADF",
    "getsockname": "ENOBUFS EPERM ENOSYS EBADF",
    "mmap": "ENOMEM EPERM",
    "munmap": "ENOMEM EINVAL",
    "open": "EACCES EMFILE ENFILE ENOMEM ENOSPC EROFS EPERM ENXIO EINTR",
    "pipe2": "EMFILE ENFILE ENOSYS EPERM",
    "poll": "EINTR ENOMEM EINVAL EPERM ENOSYS",
    "pwritev2": "EAGAIN EOPNOTSUPP ENOSYS EPERM EINVAL EIO",
    "read": "EIO ENOMEM ENOBUFS EINTR EPERM EBADF",
    "rt_sigaction": "EINVAL EPERM ENOSYS",
    "rt_sigprocmask": "EINVAL EPERM ENOSYS",
    "setitimer": "EINVAL EPERM ENOSYS",
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM EACCES EPERM EAFNOSUPPORT EPROTONOSUPPORT EINVAL ENOSYS",
    "wait4": "EINTR EINVAL ENOSYS EPERM",
    "write": "EIO ENOSPC EDQUOT EFBIG ENOBUFS ENOMEM EPERM EINTR EAGAIN EBADF",
}
# No signal and no want of room comes at each try without end, and who asks again is right.
NOT_FOR_GOOD = {("open", "EINTR"), ("write", "EINTR"), ("write", "EAGAIN"), ("read", "EINTR")}
CANNOT_FAIL = {"execve", "arch_prctl", "set_tid_address", "exit_group"}
# Where these fail, it may be the log that cannot be written.
LOGGING = {"poll", "write"}

DURATION = 0.25
OPTIONS = (*EAGER, "--period=100ms", DURATION)


@contextlib.contextmanager
def watching_http():
    with Server(answer_http) as server:
        yield [f"--until-unready=http://127.0.0.1:{server.port}/"]


@contextlib.contextmanager
def watching_http_over_unix():
    with Server(answer_http, unix=True) as server:
        yield [f"--until-unready=http://unix:{server.path}:/"]


@contextlib.contextmanager
def watching_tcp():
    with Server(backlog=4096) as server:
        yield [f"--until-unready=tcp://127.0.0.1:{server.port}"]


@contextlib.contextmanager
def watching_unix():
    with Server(unix=True, backlog=4096) as server:
        yield [f"--until-unready=unix:{server.path}"]


@contextlib.contextmanager
def watching_grpc():
    with Server(answer_grpc) as server:
        yield [f"--until-unready=grpc://127.0.0.1:{server.port}"]


@contextlib.contextmanager
def watching_a_busy_port():
    with busy_port() as port:
        yield [f"--until-idle={port}"]


@contextlib.contextmanager
def requesting(method):
    with Server(answer_http) as server:
        yield [f"--{method}=http://127.0.0.1:{server.port}/"]


@contextlib.contextmanager
def logging_to_a_file():
    yield [f"--log-file={free_path()}"]


PLAIN = "a plain sleep"
CLOSED = "a sleep with all descriptors closed"
MODES = {
    PLAIN: lambda: contextlib.nullcontext([]),
    CLOSED: lambda: contextlib.nullcontext([]),
    "a mistake on the line": lambda: contextlib.nullcontext(["--no-such-option"]),
    "--log-file": logging_to_a_file,
    "http": watching_http,
    "http over unix": watching_http_over_unix,
    "tcp": watching_tcp,
    "unix": watching_unix,
    "grpc": watching_grpc,
    "--until-idle": watching_a_busy_port,
    "--get": lambda: requesting("get"),
    "--post": lambda: requesting("post"),
}

pool = concurrent.futures.ThreadPoolExecutor(24)
injected = []


def traced(mode, arguments, *strace):
    """A run under strace. Returns how it ended, the lines of its trace, and those of the shell that closed its descriptors."""
    trace = free_path()
    closing = ("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-') if mode == CLOSED else ()
    ended = drain(*arguments, *OPTIONS, through=("strace", "-qq", f"--output={trace}", *strace, *closing))
    with open(trace, errors="replace") as file:
        lines = file.read().splitlines()
    begins = max((n for n, line in enumerate(lines) if line.startswith("execve(")), default=0)
    return ended, lines[begins:], lines[:begins]


def calls(lines):
    return [re.match(r"\w*", line)[0] for line in lines if not line.startswith(("---", "+++"))]


def rows():
    """A row for each call of a mode that a plain sleep does not make as often."""
    plain = collections.Counter()
    for mode, begin in MODES.items():
        with begin() as arguments:
            ended, lines, before = traced(mode, arguments)
        assert ended.took >= DURATION, ended
        made = collections.Counter(calls(lines))
        for call in sorted((made - plain).keys() - CANNOT_FAIL):
            row(f"{mode}: {call} fails, at each call and for good")(
                functools.partial(with_faults, mode, begin, call, made[call], calls(before).count(call))
            )
        plain = plain or made


def with_faults(mode, begin, call, made, skipped):
    times = [str(n) for n in range(skipped + 1, skipped + made + 1)]
    for_good = f"{skipped + 1}+"
    errors = ERRORS[call].split()
    faults = [(error, when) for error in errors for when in times]
    faults += [(error, for_good) for error in errors if (call, error) not in NOT_FOR_GOOD]
    injected.extend(faults)
    with begin() as arguments:
        runs = {pool.submit(one_fault, mode, arguments, call, *fault): fault for fault in faults}
        wrong = [f"{fault}: {why}" for done, fault in runs.items() if (why := done.result())]
    assert not wrong, f"{len(wrong)} of {len(faults)}\n" + "\n".join(wrong)


def one_fault(mode, arguments, call, error, when):
    """Returns what is wrong with a run in which the call fails."""
    inject = f"--inject={call}:error={error}:when={when}"
    for _ in range(5):
        ended, lines, _ = traced(mode, arguments, f"--trace=execve,{call}", inject)
        # A machine so busy that the drain is over before the call is made says nothing.
        if not when.endswith("+") or any("(INJECTED)" in line for line in lines):
            break
    else:
        return f"the fault was not made: {lines}"
    if ended.status not in (0, 1, 2):
        return f"it ended with {ended}"
    if ended.took < DURATION:
        return f"the drain was cut short: {ended}"
    if ended.said and ended.said > FALLBACK + LATE:
        return f"the drain was held: {ended}"
    if ended.status and call not in LOGGING and mode != CLOSED and not re.search("error|bug", ended.log):
        return f"it does not say what is wrong: {ended}"
    return None
