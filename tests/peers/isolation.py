"""Namespaces of our own: ports that nobody else uses, files that go away with them, processes that end with them."""

import os
import signal
import subprocess
import sys

INSIDE = "PEERS_ISOLATED"
# Whoever ends, the rest ends: this program, unshare, and the first process of the process namespace and so all in it.
COMMAND = [
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
]


def inside():
    return INSIDE in os.environ


def run_inside():
    """Start this program anew inside, and return its exit status."""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    # Its own session, since an interrupt from the terminal is for this process to act on: unshare ignores it.
    child = subprocess.Popen(
        [*COMMAND, sys.executable, *sys.argv], env=os.environ | {INSIDE: "yes"}, start_new_session=True
    )
    try:
        return child.wait()
    finally:
        child.kill()


def prepare():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "peers", "/mnt"], check=True)
