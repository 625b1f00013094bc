"""Servers that say bytes, and what they say."""

import contextlib
import itertools
import os
import socket

import serving
from program import WORK

_numbers = itertools.count()


class Server(serving.Server):
    def __init__(self, answer=None, *, unix=False, **options):
        super().__init__(answer, path=WORK / f"{next(_numbers)}.sock" if unix else None, **options)


def frame(kind, flags, stream, payload=b"", length=None):
    """A frame of HTTP/2: RFC 9113 section 4.1."""
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """A header field that enters no table, of less than 127 bytes: RFC 7541 section 6.2.2."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (0, 1, 3, 4, 5, 6, 7, 8, 9)
ACK = END_STREAM = 1
END_HEADERS, PADDED = 4, 8
CALL = 1  # the stream of a client's first call

STATUS_200 = b"\x88"  # RFC 7541 appendix A
GRPC_HEADERS = frame(HEADERS, END_HEADERS, CALL, STATUS_200 + literal(b"content-type", b"application/grpc"))
GRPC_TRAILERS = frame(HEADERS, END_HEADERS | END_STREAM, CALL, literal(b"grpc-status", b"0"))


def grpc_message(serving_status):
    return frame(DATA, 0, CALL, b"\0\0\0\0\2\x08" + bytes([serving_status]))


SERVING = frame(SETTINGS, 0, 0) + GRPC_HEADERS + grpc_message(1) + GRPC_TRAILERS
NOT_SERVING = frame(SETTINGS, 0, 0) + GRPC_HEADERS + grpc_message(2) + GRPC_TRAILERS


def http(status=200, body=b"", **fields):
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin1") + body


def answer_http(talk):
    talk.request()
    talk.say(http())
    talk.end()


def answer_grpc(talk):
    talk.say(SERVING)
    talk.hold()


@contextlib.contextmanager
def busy_port():
    """A port on which bytes are unread, so that it never falls idle."""
    with Server() as server, socket.create_connection((server.host, server.port)) as client:
        client.sendall(b"unread")
        yield server.port


def free_path():
    return os.fspath(WORK / f"{next(_numbers)}.path")
