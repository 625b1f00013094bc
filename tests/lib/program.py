"""Runs of the program: started with its arguments, followed by their log, and judged by how they end."""

import contextlib
import os
import pathlib
import re
import select
import subprocess
import threading
import time

# Any check that says unready ends such a drain at once, so that one that must say nothing shows if it says that.
EAGER = ("--assume-ready", "--min=0", "--threshold=1")
VERDICT = r"is (ready|unready|busy|idle|not known) \((.*)\) at "
MOST_SECONDS = 90  # that a run may take, or its log may be silent, before the row fails


def path():
    """Where the program is."""
    return pathlib.Path(os.environ["DRAIN_SLEEP"])


class Drain:
    """A run of the program. As a context manager it is killed at the end, unless it has ended.

    `through` is a command that runs it. Other options are Popen's; with a stderr of its own, the log is not read."""

    def __init__(self, *arguments, through=(), program=None, **options):
        self.lines = []  # of the log: seconds since the start, text
        self.status = self.took = None  # the exit status, negative where a signal has killed it, and the seconds until then
        self.descriptors = self.memory = 0  # the most that it was seen to have open, and resident, in KiB
        self.is_read = False
        self.changed = threading.Condition()
        program = pathlib.Path(program or path())
        self.name = program.name[:15]  # as proc(5) has it
        self.start = time.monotonic()
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
        self.process = subprocess.Popen(list(map(str, (*through, program, *arguments))), **options)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join(1)

    def _read(self):
        if self.process.stderr:
            with self.process.stderr as log:
                for line in log:
                    with self.changed:
                        text = line.decode(errors="backslashreplace").rstrip("\n")
                        self.lines.append((time.monotonic() - self.start, text))
                        self.changed.notify_all()
        with self.changed:
            self.is_read = True
            self.changed.notify_all()

    def wait_for(self, pattern, within=MOST_SECONDS):
        """Wait for a line of the log. Returns when it came and the match."""
        deadline = time.monotonic() + within
        seen = 0
        with self.changed:
            while True:
                for at, line in self.lines[seen:]:
                    seen += 1
                    if match := re.search(pattern, line):
                        return at, match
                if self.is_read or not self.changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no line {pattern!r} {'at all' if self.is_read else 'yet'} in {self}")

    def end(self, within=MOST_SECONDS):
        """Wait for its end."""
        if self.status is None:
            if self.process.poll() is None:
                self._observe(within)
            self.took = time.monotonic() - self.start
            self.status = self.process.wait()
            self.reader.join(5)  # what it has left behind, a row may want to find
        return self

    def expect(self, *texts, status=0, at_least=0.0, within=MOST_SECONDS):
        """Wait for its end, which must be with this status, after at least these seconds, and with these patterns in the log."""
        self.end(within)
        assert self.status == status, f"exit status {self.status}, not {status}: {self}"
        assert self.took >= at_least, f"it lasted {self.took:.3f} s, not {at_least} s: {self}"
        for text in texts:
            assert re.search(text, self.log, re.MULTILINE), f"no {text!r} in the log: {self}"
        return self

    def _observe(self, within):
        pidfd = os.pidfd_open(self.process.pid)
        end = select.poll()  # select() ends at descriptor 1024
        end.register(pidfd)
        try:
            deadline = time.monotonic() + within
            while not end.poll(20):
                assert time.monotonic() < deadline, f"it has not ended within {within} s: {self}"
                with contextlib.suppress(OSError, TypeError):  # it has just ended
                    folder = pathlib.Path(f"/proc/{self.process.pid}")
                    status = (folder / "status").read_text()
                    if status.startswith(f"Name:\t{self.name}\n"):  # not what runs it, nor this program before it
                        self.descriptors = max(self.descriptors, len(os.listdir(folder / "fd")))
                        self.memory = max(self.memory, int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))
        finally:
            os.close(pidfd)

    @property
    def log(self):
        return "".join(f"{line}\n" for _, line in self.lines)

    @property
    def said(self):
        """The seconds that the drain took by the program's own last line, if it says so."""
        last = re.search(r"^drain-sleep: (?:slept|drained after) ([\d.]+)s\b.*\n\Z", self.log, re.MULTILINE)
        return float(last[1]) if last else None

    @property
    def verdicts(self):
        """All verdicts in the log, each as `verdict (why)`."""
        return [f"{match[1]} ({match[2]})" for _, line in self.lines if (match := re.search(VERDICT, line))]

    def __str__(self):
        log = "\n".join(f"{at:9.3f} {line:.300}" for at, line in self.lines)
        return f"{' '.join(map(str, self.process.args))}\nexit status {self.status} after {self.took} s\n{log}"


def drain(*arguments, meanwhile=None, within=MOST_SECONDS, **options):
    """Run the program to its end. `meanwhile` is called with its process."""
    with Drain(*arguments, **options) as run:
        if meanwhile:
            meanwhile(run.process)
        return run.end(within)


def memory_of(process):
    """RSS and private dirty memory in kB."""
    rollup = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return tuple(int(re.search(rf"^{what}:\s+(\d+) kB", rollup, re.M)[1]) for what in ("Rss", "Private_Dirty"))


PATIENT, SHORT = 60, 2  # a --timeout with time for the busiest machine to answer, and one for what does not


def first_verdict(url, *options, timeout=PATIENT):
    """The verdict on a URL in one check, and why."""
    with Drain("--until-unready", url, "--timeout", timeout, "--period", "60s", *options, "60s") as run:
        return run.wait_for(VERDICT, within=timeout + 20)[1].groups()
