"""Runs of drain-sleep, each watched from outside: how long it took, what it said, what it held."""

import contextlib
import dataclasses
import os
import pathlib
import re
import select
import subprocess
import tempfile
import time

WORK = pathlib.Path("/run/faults")  # in memory, and in this run's mount namespace only
PROGRAM = WORK / "drain-sleep"
# Any check that says unready ends such a drain at once, so that one that must say nothing shows if it says that.
EAGER = ("--assume-ready", "--min=0", "--threshold=1")
DEBIAN_PYTHON = "/usr/bin/python3"  # which has Debian's python3-seccomp
# How late the program may be by its own clock, which a busy machine wakes when it can.
LATE = 2.0
# What a run that is cut short by a want of memory may hold itself to: DURATION is not read yet, so the default of --min counts.
FALLBACK = 5.0


@dataclasses.dataclass
class Ended:
    status: int  # negative: killed by that signal
    took: float
    log: str
    descriptors: int  # the most that were open at once
    memory: int  # the most that was resident, in KiB

    @property
    def lines(self):
        return self.log.splitlines()

    @property
    def said(self):
        """The seconds that the drain took by the program's own last line, if it says so."""
        last = re.search(r"^drain-sleep: (?:slept|drained after) ([\d.]+)s\b.*\n\Z", self.log, re.MULTILINE)
        return float(last[1]) if last else None

    def expect(self, *texts, status=0, at_least=0.0):
        assert self.status == status, f"exit status {self.status}, not {status}: {self}"
        assert self.took >= at_least, f"it lasted {self.took:.3f} s, not {at_least} s: {self}"
        for text in texts:
            assert re.search(text, self.log), f"no {text!r} in the log: {self}"
        return self


def drain(*arguments, through=(), meanwhile=None, program=PROGRAM, **options):
    """Run the program to its end. `through` is a command that runs it; `meanwhile` is called with the process."""
    with tempfile.TemporaryFile(dir=WORK) as log:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": log} | options
        began = time.monotonic()
        process = subprocess.Popen(list(map(str, (*through, program, *arguments))), **options)
        try:
            if meanwhile:
                meanwhile(process)
            descriptors, memory = observe(process)
            took = time.monotonic() - began
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        return Ended(status, took, log.read().decode(errors="backslashreplace"), descriptors, memory)


def observe(process, patience=60.0):
    """Wait for the end of the process. Returns the most descriptors and the most memory that it was seen to have."""
    descriptors = memory = 0
    pidfd = os.pidfd_open(process.pid)
    end = select.poll()  # select() ends at descriptor 1024
    end.register(pidfd)
    try:
        deadline = time.monotonic() + patience
        while not end.poll(20):
            assert time.monotonic() < deadline, f"it has not ended within {patience} s"
            with contextlib.suppress(OSError, TypeError):  # it has just ended
                folder = pathlib.Path(f"/proc/{process.pid}")
                status = (folder / "status").read_text()
                if status.startswith(f"Name:\t{PROGRAM.name}\n"):  # not what runs it, nor this program before it
                    descriptors = max(descriptors, len(os.listdir(folder / "fd")))
                    memory = max(memory, int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))
    finally:
        os.close(pidfd)
    return descriptors, memory
