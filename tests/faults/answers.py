"""What servers of the rows say, and where their files are."""

import contextlib
import os

from room import folder
from serving import Server, http
from tables import frames

# How late the program may be by its own clock, which a busy machine wakes when it can.
LATE = 2.0
# What a run that cannot read DURATION holds itself to: the default of --min.
FALLBACK = 5.0
# Seconds in which the busiest machine, even if it traces the program, answers some requests.
LONG = 3


def free_path():
    """In memory, and gone with the room's namespaces."""
    return folder() / "file"


def answer_grpc(talk):
    talk.say(frames("HELLO ANSWER"))
    talk.hold()


@contextlib.contextmanager
def one_of_each():
    """Servers for HTTP, gRPC, and HTTP over a Unix socket."""
    with Server(http()) as a, Server(answer_grpc) as b, Server(http(), path=free_path()) as c:
        yield a, b, c


def strace(*options, trace=None):
    """A command that runs the program, and writes what it traces to a file."""
    return ("strace", "-qq", f"--output={trace or os.devnull}", *options)
