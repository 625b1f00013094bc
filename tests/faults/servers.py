"""Servers that say bytes, at a Unix or a TCP socket, and remember who came and what they said."""

import contextlib
import itertools
import os
import socket
import threading

from program import WORK

_numbers = itertools.count()


class Server:
    """Calls `answer(connection)` for each connection, in a thread of its own. Port 0 is one that is free."""

    def __init__(self, answer=None, *, unix=False, host="127.0.0.1", port=0, backlog=128):
        self.answer = answer
        self.connections = 0
        self.requests = []
        self.path = WORK / f"{next(_numbers)}.sock"
        if unix:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self.path))
            self.listener.listen(backlog)
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = socket.create_server((host, port), family=family, backlog=backlog)
            self.host, self.port = self.listener.getsockname()[:2]

    def __enter__(self):
        if self.answer:
            threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # which wakes accept()
        self.listener.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, contextlib.suppress(OSError):  # the client has seen enough
            connection.settimeout(20)
            self.answer(Conversation(self, connection))


class Conversation:
    """A connection, as the server's answer sees it."""

    def __init__(self, server, connection):
        self.server, self.socket, self.number = server, connection, server.connections

    def request(self, end=b"\r\n\r\n"):
        """Read the head of an HTTP request, or until any other end."""
        request = b""
        while end not in request:
            more = self.socket.recv(65536)
            if not more:
                raise OSError("the client is gone")
            request += more
        self.server.requests.append(request)
        return request

    def say(self, *parts):
        for part in parts:
            self.socket.sendall(part)

    def flood(self, part, most=10_000_000_000):
        """Say it again and again, until the client has gone or `most` bytes are said."""
        part *= 1 + 65536 // len(part)
        for _ in range(0, most, len(part)):
            self.socket.sendall(part)

    def end(self):
        """Close as one does who has said all: what the client still says is read, lest it becomes a reset."""
        self.socket.shutdown(socket.SHUT_WR)
        self.hold()

    def hold(self):
        """Say nothing more, until the client has gone."""
        while self.socket.recv(65536):
            pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        self.socket.close()


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
