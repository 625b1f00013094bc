"""Every system call that the program makes fails: each time that it is made, and for good, in each way that is plausible.

strace(1) makes them fail. What comes before set_tid_address(2) is libc's own start, and clock_gettime(2) is the vDSO's; it
fails in clock.py."""

import collections
import concurrent.futures
import contextlib
import functools
import re
import signal
import socket

import pytest
from answers import FALLBACK, LATE, answer_grpc, free_path, strace
from program import EAGER, drain
from serving import Server, http

# Local wants only: they say nothing of the peer, so they may not end a drain that any unready check would end.
ERRORS = {
    "brk": "ENOMEM",
    "close": "EIO EINTR EBADF",
    "connect": "EADDRNOTAVAIL EACCES EPERM ENOBUFS ENOMEM EINTR EBADF EAFNOSUPPORT EINVAL",
    "fcntl": "EINVAL EPERM EBADF",
    "getpeername": "ENOBUFS ENOTCONN EPERM ENOSYS EBADF",
    "getsockname": "ENOBUFS EPERM ENOSYS EBADF",
    "mmap": "ENOMEM EPERM",
    "munmap": "ENOMEM EINVAL",
    "open": "EACCES EMFILE ENFILE ENOMEM ENOSPC EROFS EPERM ENXIO EINTR",
    "poll": "EINTR ENOMEM EINVAL EPERM ENOSYS",
    "pwritev2": "EAGAIN EOPNOTSUPP ENOSYS EPERM EINVAL EIO",
    "read": "EIO ENOMEM ENOBUFS EINTR EPERM EBADF",
    "rt_sigaction": "EINVAL EPERM ENOSYS",
    "rt_sigprocmask": "EINVAL EPERM ENOSYS",
    "setitimer": "EINVAL EPERM ENOSYS",
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM EACCES EPERM EAFNOSUPPORT EPROTONOSUPPORT EINVAL ENOSYS",
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
def serving(option, answer, unix=False):
    with Server(answer, path=free_path() if unix else None, backlog=4096) as server:
        yield [option.format(server)]


@contextlib.contextmanager
def watching_a_busy_port():
    """Bytes are unread, so that it never falls idle."""
    with Server() as server, socket.create_connection((server.host, server.port)) as client:
        client.sendall(b"unread")
        yield [f"--until-idle={server.port}"]


def plainly(*arguments):
    return lambda: contextlib.nullcontext(arguments)


MODES = {
    "a plain sleep": plainly(),
    "a sleep with all descriptors closed": plainly(),
    "a mistake on the command line": plainly("--no-such-option"),
    "a log file": lambda: contextlib.nullcontext([f"--log-file={free_path()}"]),
    "http": lambda: serving("--until-unready=http://127.0.0.1:{0.port}/", http()),
    "http over unix": lambda: serving("--until-unready=http://unix:{0.path}:/", http(), unix=True),
    "tcp": lambda: serving("--until-unready=tcp://127.0.0.1:{0.port}", None),
    "unix": lambda: serving("--until-unready=unix:{0.path}", None, unix=True),
    "grpc": lambda: serving("--until-unready=grpc://127.0.0.1:{0.port}", answer_grpc),
    "idle": watching_a_busy_port,
    "get": lambda: serving("--get=http://127.0.0.1:{0.port}/", http()),
    "post": lambda: serving("--post=http://127.0.0.1:{0.port}/", http()),
}
PLAIN, CLOSED = list(MODES)[:2]


def traced(mode, arguments, *options):
    """A run under strace. Returns how it ended, the lines of its trace, and those of the shell that closed its descriptors."""
    trace = free_path()
    closing = ("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-') if mode == CLOSED else ()
    ended = drain(*arguments, *OPTIONS, through=(*strace(*options, trace=trace), *closing))
    lines = trace.read_text(errors="replace").splitlines()
    begins = max((n for n, line in enumerate(lines) if line.startswith("execve(")), default=0)
    return ended, lines[begins:], lines[:begins]


def calls(lines):
    return [re.match(r"\w*", line)[0] for line in lines if not line.startswith(("---", "+++"))]


@functools.cache
def made(mode):
    """How often a run makes each call, and how often the shell before it does."""
    with MODES[mode]() as arguments:
        ended, lines, before = traced(mode, arguments)
    assert ended.took >= DURATION, str(ended)
    return collections.Counter(calls(lines)), collections.Counter(calls(before))


@pytest.mark.parametrize("mode", MODES)
def test_every_call_fails_each_time_and_for_good(mode):
    """Of those that a plain sleep does not make as often."""
    each, before = made(mode)
    new = each if mode == PLAIN else each - made(PLAIN)[0]
    faults = []
    for call in sorted(new.keys() - CANNOT_FAIL):
        first = before[call] + 1
        for error in ERRORS[call].split():
            faults += [(call, error, str(n)) for n in range(first, first + each[call])]
            faults += [(call, error, f"{first}+")] if (call, error) not in NOT_FOR_GOOD else []
    with MODES[mode]() as arguments, concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrong = [why for why in pool.map(lambda fault: one_fault(mode, arguments, *fault), faults) if why]
    assert faults and not wrong, f"{len(wrong)} of {len(faults)} faults:\n" + "\n".join(wrong)


def one_fault(mode, arguments, call, error, when):
    """Returns what is wrong with a run in which the call fails."""
    fault = f"{call}:error={error}:when={when}"
    for _ in range(5):
        ended, lines, _ = traced(mode, arguments, f"--trace=execve,{call}", f"--inject={fault}")
        # A machine so busy that the drain is over before the call is made, or lasts until the kernel ends it, says nothing.
        was_made = not when.endswith("+") or any("(INJECTED)" in line for line in lines)
        if was_made and ended.status != -signal.SIGALRM:
            break
    else:
        if not was_made:
            return f"{fault} was not made: {lines}"
    if ended.status not in (0, 1, 2):
        return f"{fault} ended it: {ended}"
    if ended.took < DURATION:
        return f"{fault} cut the drain short: {ended}"
    if ended.said and ended.said > FALLBACK + LATE:
        return f"{fault} held the drain: {ended}"
    if ended.status and call not in LOGGING and mode != CLOSED and not re.search("error|bug", ended.log):
        return f"{fault} is not said: {ended}"
    return None
