"""The program under test: started with its arguments, read by its log."""

import re
import subprocess
import threading
import time

PATH = None  # set by `run`

VERDICT = r"is (ready|unready|busy|idle|not known) \((.*)\) at "


class Drain:
    """A run of drain-sleep. As a context manager it is killed at the end, unless it has ended."""

    def __init__(self, *arguments, wrapper=()):
        self.lines = []  # (seconds since the start, text)
        self.changed = threading.Condition()
        self.start = time.monotonic()
        command = [*wrapper, PATH, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()

    def read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append((time.monotonic() - self.start, line.decode().rstrip("\n")))
                self.changed.notify_all()
        with self.changed:
            self.lines.append((time.monotonic() - self.start, ""))  # the end of the log
            self.changed.notify_all()

    def wait_for(self, pattern, within=20):
        """Wait for a line of the log, and return when it came and the match."""
        deadline = time.monotonic() + within
        seen = 0
        with self.changed:
            while True:
                for at, line in self.lines[seen:]:
                    seen += 1
                    if match := re.search(pattern, line):
                        return at, match
                ended = self.lines and self.lines[-1][1] == ""
                if ended or not self.changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no line {pattern!r} {'at all' if ended else 'yet'} in:\n{self.log()}")

    def verdicts(self):
        """All verdicts that were logged so far: when, the verdict, its detail."""
        found = [(at, re.search(VERDICT, line)) for at, line in self.lines]
        return [(at, *match.groups()) for at, match in found if match]

    def end(self, within=60):
        """Wait for the end; return the seconds it took and its last line, having checked that it exits with 0."""
        status = self.process.wait(within)
        took = time.monotonic() - self.start
        self.reader.join()
        if status != 0:
            raise AssertionError(f"exit status {status}:\n{self.log()}")
        return took, self.lines[-2][1]

    def log(self):
        return "\n".join(f"{at:7.3f} {line:.200}" for at, line in self.lines)


def first_verdict(url, *options, timeout=2):
    """The verdict on a URL in one check, and its detail."""
    with Drain("--until-unready", url, "--timeout", timeout, "--period", "60s", *options, "60s") as drain:
        _, match = drain.wait_for(VERDICT, within=timeout + 20)
        return match.groups()
