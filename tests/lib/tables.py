"""The tables in `tests/verdicts`, which say how their rows are written. What a text stands for, tests/it/table.rs knows: it is asked."""

import functools
import re
import subprocess
import threading

from room import ROOT, TARGET, run

READY, UNREADY, NOT_KNOWN = "ready", "unready", "not known"

# What is slow, or too much for the program, says nothing here. The kubelet fails what is slow.
SAYS_NOTHING = {
    "more must come",
    "head over 16 KiB",
    "HTTP/2 headers over 16 KiB",
    "server push, which was switched off",
    "HPACK table size after a field",
    "HPACK dynamic table, which was switched off",
    # An app that is too busy, or asked too often.
    *("408", "429", "504", "gRPC status 4", "gRPC status 8"),
    *("not gRPC, HTTP status 408", "not gRPC, HTTP status 429", "not gRPC, HTTP status 504"),
}


def table(name):
    """The rows: the line's number, what is expected, the kubelet's verdict where it is another, and the text."""
    for number, line in enumerate((ROOT / "tests/verdicts" / name).read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            expected, text = re.split("  +", line, maxsplit=1)
            why, _, kubelets = expected.partition(" / ")
            yield f"line-{number}", why, kubelets, text.split("  # ")[0]


def verdict_of(why):
    if why in SAYS_NOTHING:
        return NOT_KNOWN
    return READY if why == "SERVING" or why.isdigit() and 200 <= int(why) < 400 else UNREADY


def build_reader():
    run("cargo", "build", "--locked", "--example=verdicts", cwd=ROOT)


@functools.cache
def reader():
    program = TARGET / "x86_64-unknown-linux-musl/debug/examples/verdicts"
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def unescaped(text):
    """The bytes that a text stands for."""
    return ask("bytes", text)


def frames(text):
    """The bytes of frames."""
    return ask("frames", text)


ASKING = threading.Lock()  # a server's threads ask, too


def ask(kind, text):
    with ASKING:
        reader().stdin.write(f"{kind} {text}\n")
        return bytes.fromhex(reader().stdout.readline())
