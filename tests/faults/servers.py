"""Servers that say bytes, and what they say."""

import contextlib
import itertools
import os
import socket

import serving
from program import WORK
from tables import frames

_numbers = itertools.count()


class Server(serving.Server):
    def __init__(self, answer=None, *, unix=False, **options):
        super().__init__(answer, path=WORK / f"{next(_numbers)}.sock" if unix else None, **options)


def http(status=200, body=b"", **fields):
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin1") + body


def answer_http(talk):
    talk.request()
    talk.say(http())
    talk.end()


def answer_grpc(talk):
    talk.say(frames("HELLO ANSWER"))
    talk.hold()


@contextlib.contextmanager
def busy_port():
    """A port on which bytes are unread, so that it never falls idle."""
    with Server() as server, socket.create_connection((server.host, server.port)) as client:
        client.sendall(b"unread")
        yield server.port


def free_path():
    return os.fspath(WORK / f"{next(_numbers)}.path")
