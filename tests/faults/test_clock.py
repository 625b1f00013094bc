"""The clock: only the monotonic one is read. It is read through the vDSO, where no tracer sees it, unless that is taken away."""

import ctypes
import os
import pathlib
import re
import signal
import struct
import subprocess
import time

import program
import pytest
from answers import LONG, free_path, one_of_each
from program import MOST_SECONDS
from test_security import everything

PTRACE_TRACEME, PTRACE_DETACH = 0, 17  # <linux/ptrace.h>
AT_IGNORE, AT_SYSINFO_EHDR = 1, 33  # <linux/auxvec.h>
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def traced_without_vdso(arguments, *strace):
    """Run it with the vDSO hidden from its libc, as on a machine whose clock has to be asked. Returns its exit status, the time
    that it took, its log, and strace's lines."""
    trace, log = free_path(), free_path()
    with open(log, "w") as stderr:
        command = [os.fspath(program.path()), *map(str, arguments)]
        process = subprocess.Popen(command, stderr=stderr, preexec_fn=lambda: libc.ptrace(PTRACE_TRACEME, 0, None, None))
    try:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # after execve, before its first instruction
        hide_vdso(process.pid)
        assert libc.ptrace(PTRACE_DETACH, process.pid, None, signal.SIGSTOP) == 0, os.strerror(ctypes.get_errno())
        tracer = subprocess.Popen(["strace", "-qq", f"--output={trace}", f"--attach={process.pid}", *strace])
        while "TracerPid:\t0\n" in pathlib.Path(f"/proc/{process.pid}/status").read_text():
            assert tracer.poll() is None, "strace cannot attach"
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGCONT)
        status = process.wait(MOST_SECONDS)
        took = time.monotonic() - began
    finally:
        process.kill()
        process.wait()
    tracer.wait()
    lines = [line for line in trace.read_text().splitlines() if not line.startswith(("---", "+++"))]
    return status, took, log.read_text(), lines


def hide_vdso(pid):
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()

    def mapping(name):
        return [int(address, 16) for address in re.search(rf"(\w+)-(\w+) .*\[{name}\]", maps).groups()]

    begin, end = mapping("stack")
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(begin)
        at = memory.read(end - begin).rindex(struct.pack("QQ", AT_SYSINFO_EHDR, mapping("vdso")[0]))
        memory.seek(begin + at)
        memory.write(struct.pack("QQ", AT_IGNORE, 0))


def test_the_wall_clock_is_never_read():
    clocks = "--trace=clock_gettime,gettimeofday,time,clock_getres,times,getrusage,adjtimex,clock_nanosleep,timer_create"
    with one_of_each() as (a, b, c):
        line = everything(f"http://127.0.0.1:{a.port}/", f"grpc://127.0.0.1:{b.port}", f"http://unix:{c.path}:/")
        status, took, log, lines = traced_without_vdso([*line, f"--log-file={free_path()}"], clocks)
    assert status == 0 and took >= LONG and "slept" in log, (status, took, log)
    assert len(lines) > 10 and all(line.startswith("clock_gettime(CLOCK_MONOTONIC, ") for line in lines), lines


@pytest.mark.parametrize("when", ["1+", "2+", "5+"])
def test_the_clock_cannot_be_read(when):
    fault = f"--inject=clock_gettime:error=EPERM:when={when}"
    status, took, log, lines = traced_without_vdso([1], "--trace=clock_gettime", fault)
    assert any("(INJECTED)" in line for line in lines), lines
    assert took >= 1, f"it ended with {status} after {took} s: {log}"
