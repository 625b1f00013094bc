"""Byte for byte what a server may answer to a gRPC health check, and the verdict.

Each is judged by the program and by the kubelet's own prober, which must agree save where a row gives a verdict of its
own for the kubelet."""

import socket
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial

from program import first_verdict

READY, UNREADY, NOT_KNOWN = "ready", "unready", "not known"
# Too slow, or too much: it says nothing here, and the kubelet fails it.
SAYS_NOTHING = NOT_KNOWN, UNREADY

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CLOSE = object()  # instead of what the server would say next


@dataclass
class Acknowledged:
    """A pause until so many frames of a kind have been acknowledged."""

    kind: int
    count: int


def frame(kind, payload=b"", flags=0, stream=0):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def fields(*pairs):
    """A header block of literals that are not indexed, nor Huffman-coded."""
    return b"".join(b"\0" + string(name) + string(value) for name, value in pairs)


def string(text):
    text = text.encode("latin1") if isinstance(text, str) else text
    return integer(len(text), 7) + text


def integer(value, bits):
    """RFC 7541 section 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def headers(*pairs, end=False, block=None, stream=1, flags=END_HEADERS):
    return frame(HEADERS, fields(*pairs) if block is None else block, flags | (END_STREAM if end else 0), stream)


def message(protobuf, compressed=0, length=None):
    return bytes([compressed]) + (len(protobuf) if length is None else length).to_bytes(4) + protobuf


def data(payload, flags=0, stream=1):
    return frame(DATA, payload, flags, stream)


STATUS = ":status", "200"
TYPE = "content-type", "application/grpc"
HELLO = frame(SETTINGS)
HEAD = headers(STATUS, TYPE)
SERVING = data(message(b"\x08\x01"))
TRAILERS = headers(("grpc-status", "0"), end=True)
ANSWER = HEAD + SERVING + TRAILERS


def settings(*pairs):
    return frame(SETTINGS, b"".join(key.to_bytes(2) + value.to_bytes(4) for key, value in pairs))


def goaway(last, error=0, more=b""):
    return frame(GOAWAY, last.to_bytes(4) + error.to_bytes(4) + more)


def typed(value):
    return headers(STATUS, ("content-type", value)) + SERVING + TRAILERS


def answered(*pairs):
    """An answer with these fields beside the usual ones of its head."""
    return headers(STATUS, TYPE, *pairs) + SERVING + TRAILERS


def ended(*pairs):
    """An answer with these trailers."""
    return HEAD + SERVING + headers(*pairs, end=True)


def said(protobuf, **options):
    return HEAD + data(message(protobuf, **options)) + TRAILERS


LONG = message(b"\x08\x01\x12\xb0\xea\x01" + b"x" * 30_000)

# The name, what the server says when the connection is open, what when the request has come, and the verdict.
SCRIPTS = [
    ("an answer", HELLO, ANSWER, READY),
    ("an answer, acknowledged", HELLO + frame(SETTINGS, flags=ACK), ANSWER, READY),
    ("an answer in one-byte pieces", HELLO, [bytes([byte]) for byte in ANSWER], READY),
    # The connection.
    ("nothing", b"", CLOSE, UNREADY),
    ("nothing, open", b"", b"", *SAYS_NOTHING),
    ("closed after SETTINGS", HELLO, CLOSE, UNREADY),
    ("PING before SETTINGS", frame(PING, b"\0" * 8) + HELLO, ANSWER, UNREADY),
    ("WINDOW_UPDATE before SETTINGS", frame(WINDOW_UPDATE, b"\0\0\0\1") + HELLO, ANSWER, UNREADY),
    ("an unknown frame before SETTINGS", frame(0x42) + HELLO, ANSWER, UNREADY),
    (
        "SETTINGS of all kinds",
        settings((1, 0), (2, 0), (3, 100), (4, 65535), (5, 16384), (6, 8192), (0x99, 7)),
        ANSWER,
        READY,
    ),
    ("SETTINGS again", HELLO + settings((3, 1)), ANSWER, READY),
    # The request is sent before the server's SETTINGS, with the window that holds until then: RFC 9113 section 6.9.2.
    ("SETTINGS without a window for streams", settings((4, 0)), ANSWER, READY, UNREADY),
    ("SETTINGS that must be acknowledged", HELLO, [HELLO, Acknowledged(SETTINGS, 2), ANSWER], READY),
    ("SETTINGS on a stream", frame(SETTINGS, stream=1), ANSWER, UNREADY),
    ("SETTINGS of 5 bytes", frame(SETTINGS, b"\0" * 5), ANSWER, UNREADY),
    ("SETTINGS acknowledged with a payload", HELLO + frame(SETTINGS, b"\0" * 6, ACK), ANSWER, UNREADY),
    ("PING", HELLO + frame(PING, b"12345678"), frame(PING, b"87654321") + ANSWER, READY),
    ("PING that must be acknowledged", HELLO, [frame(PING, b"12345678"), Acknowledged(PING, 1), ANSWER], READY),
    ("PING acknowledged unasked", HELLO + frame(PING, b"12345678", ACK), ANSWER, READY),
    ("PING on a stream", HELLO + frame(PING, b"12345678", stream=1), ANSWER, UNREADY),
    ("PING of 7 bytes", HELLO + frame(PING, b"1234567"), ANSWER, UNREADY),
    (
        "WINDOW_UPDATE",
        HELLO + frame(WINDOW_UPDATE,
        b"\0\0\0\1"), frame(WINDOW_UPDATE, b"\0\0\0\1", 0, 1) + ANSWER,
        READY,
    ),
    ("WINDOW_UPDATE of 3 bytes", HELLO + frame(WINDOW_UPDATE, b"\0\0\1"), ANSWER, UNREADY),
    ("WINDOW_UPDATE of nothing, connection", HELLO + frame(WINDOW_UPDATE, b"\0" * 4), ANSWER, UNREADY),
    ("WINDOW_UPDATE of nothing, stream", HELLO, frame(WINDOW_UPDATE, b"\0" * 4, 0, 1) + ANSWER, UNREADY),
    ("PRIORITY", HELLO, frame(PRIORITY, b"\0" * 5, 0, 1) + ANSWER, READY),
    ("unknown frames", HELLO + frame(0x42, b"x" * 100), frame(0xFE, b"", 0xFF, 1) + ANSWER, READY),
    ("an unknown frame on an unknown stream", HELLO, frame(0x42, b"x", 0, 77) + ANSWER, READY),
    # RFC 9113 section 8.4 makes it an error; grpc-go ignores it.
    ("PUSH_PROMISE", HELLO, frame(PUSH_PROMISE, b"\0\0\0\2" + fields(STATUS), END_HEADERS, 1) + ANSWER, NOT_KNOWN, READY),
    ("a frame over 16 KiB", HELLO, frame(0x42, b"x" * 16385) + ANSWER, UNREADY),
    ("a frame of 16 KiB", HELLO, frame(0x42, b"x" * 16384) + ANSWER, READY),
    ("HTTP/1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"", UNREADY),
    ("GOAWAY at once", HELLO + goaway(0), ANSWER, UNREADY),
    ("GOAWAY that lets the call pass", HELLO, goaway(1) + ANSWER, READY),
    ("GOAWAY that lets all calls pass", HELLO, goaway(2**31 - 1) + frame(PING, b"12345678") + ANSWER, READY),
    ("GOAWAY twice, nearer", HELLO, goaway(2**31 - 1) + goaway(1, more=b"bye") + ANSWER, READY),
    ("GOAWAY that leaves the call out", HELLO, goaway(0) + ANSWER, UNREADY),
    ("GOAWAY of an even stream", HELLO, goaway(2) + ANSWER, READY),
    ("GOAWAY with an error that lets the call pass", HELLO, goaway(1, 2) + ANSWER, READY),
    ("GOAWAY of 7 bytes", HELLO, frame(GOAWAY, b"\0" * 7) + ANSWER, UNREADY),
    ("GOAWAY on a stream", HELLO, frame(GOAWAY, b"\0\0\0\1\0\0\0\0", 0, 1) + ANSWER, UNREADY),
    # The stream.
    ("RST_STREAM", HELLO, frame(RST_STREAM, b"\0\0\0\2", 0, 1), UNREADY),
    ("RST_STREAM after the message", HELLO, HEAD + SERVING + frame(RST_STREAM, b"\0\0\0\0", 0, 1), UNREADY),
    ("RST_STREAM after the end", HELLO, ANSWER + frame(RST_STREAM, b"\0\0\0\0", 0, 1), READY),
    ("RST_STREAM of another stream", HELLO, frame(RST_STREAM, b"\0\0\0\2", 0, 3) + ANSWER, READY),
    ("RST_STREAM of 3 bytes", HELLO, frame(RST_STREAM, b"\0\0\2", 0, 1) + ANSWER, UNREADY),
    (
        "an answer on another stream",
        HELLO,
        headers(STATUS, TYPE, stream=3) + data(message(b"\x08\x01"), stream=3),
        *SAYS_NOTHING,
    ),
    ("another stream beside it", HELLO, headers(STATUS, TYPE, stream=3) + ANSWER, READY),
    ("HEADERS on stream 0", HELLO, headers(STATUS, TYPE, stream=0) + ANSWER, UNREADY),
    ("DATA on stream 0", HELLO, data(b"", stream=0) + ANSWER, UNREADY),
    ("DATA first", HELLO, SERVING + TRAILERS, UNREADY),
    ("no DATA", HELLO, HEAD + TRAILERS, UNREADY),
    ("DATA that ends the stream", HELLO, HEAD + data(message(b"\x08\x01"), END_STREAM), UNREADY),
    ("no end", HELLO, HEAD + SERVING, *SAYS_NOTHING),
    ("closed before the end", HELLO, [HEAD + SERVING, CLOSE], UNREADY),
    ("padded DATA", HELLO, HEAD + data(b"\x03" + message(b"\x08\x01") + b"\0" * 3, PADDED) + TRAILERS, READY),
    ("padded DATA without padding", HELLO, HEAD + data(b"\x00" + message(b"\x08\x01"), PADDED) + TRAILERS, READY),
    ("padding over its DATA", HELLO, HEAD + data(b"\xff" + message(b"\x08\x01"), PADDED) + TRAILERS, UNREADY),
    ("empty DATA around", HELLO, HEAD + data(b"") + SERVING + data(b"") + TRAILERS, READY),
    ("DATA in pieces", HELLO, HEAD + data(b"\0\0\0") + data(b"\0\2\x08") + data(b"\x01") + TRAILERS, READY),
    (
        "padded HEADERS with a priority",
        HELLO,
        headers(block=b"\x02" + b"\0\0\0\0\x10" + fields(STATUS, TYPE) + b"\0\0", flags=END_HEADERS | PADDED | PRIORITISED)
        + SERVING + TRAILERS,
        READY,
    ),
    (
        "CONTINUATION",
        HELLO,
        frame(HEADERS, fields(STATUS), 0, 1) + frame(CONTINUATION, b"", 0, 1) + frame(CONTINUATION, fields(TYPE), END_HEADERS, 1)
        + SERVING + frame(HEADERS, b"", END_STREAM, 1) + frame(CONTINUATION, fields(("grpc-status", "0")), END_HEADERS, 1),
        READY,
    ),
    (
        "CONTINUATION within a field",
        HELLO,
        frame(HEADERS, fields(STATUS, TYPE)[:20], 0, 1) + frame(CONTINUATION, fields(STATUS, TYPE)[20:], END_HEADERS, 1)
        + SERVING + TRAILERS,
        READY,
    ),
    ("CONTINUATION of nothing", HELLO, frame(CONTINUATION, b"", END_HEADERS, 1) + ANSWER, UNREADY),
    (
        "CONTINUATION interrupted",
        HELLO,
        frame(HEADERS, fields(STATUS, TYPE), 0, 1) + frame(PING, b"12345678") + ANSWER,
        UNREADY,
    ),
    (
        "CONTINUATION of another stream",
        HELLO,
        frame(HEADERS, fields(STATUS, TYPE), 0, 1) + frame(CONTINUATION, b"", END_HEADERS, 3),
        UNREADY,
    ),
    ("1xx first", HELLO, headers((":status", "103")) + ANSWER, READY),
    ("1xx that ends the stream", HELLO, headers((":status", "103"), end=True), UNREADY),
    ("HEADERS in mid-stream", HELLO, HEAD + SERVING + headers(("x", "y")) + TRAILERS, UNREADY),
    ("more after the end", HELLO, ANSWER + SERVING, READY),
    # The head.
    ("HTTP status 500", HELLO, headers((":status", "500"), TYPE) + SERVING + TRAILERS, READY),
    (
        "HTTP status 500 without gRPC",
        HELLO,
        headers((":status", "500"), ("content-type", "text/html")) + SERVING + TRAILERS,
        UNREADY,
    ),
    ("HTTP status missing", HELLO, headers(TYPE) + SERVING + TRAILERS, READY),
    ("HTTP status malformed", HELLO, headers((":status", "abc"), TYPE) + SERVING + TRAILERS, READY),
    ("HTTP status twice", HELLO, headers(STATUS, STATUS, TYPE) + SERVING + TRAILERS, UNREADY),
    ("a pseudo-header that is a request's", HELLO, headers(STATUS, (":path", "/"), TYPE) + SERVING + TRAILERS, UNREADY),
    ("an unknown pseudo-header", HELLO, headers(STATUS, (":x", "/"), TYPE) + SERVING + TRAILERS, UNREADY),
    ("a pseudo-header after a field", HELLO, headers(TYPE, STATUS) + SERVING + TRAILERS, UNREADY),
    ("an upper-case name", HELLO, answered(("X-A", "b")), UNREADY),
    ("an empty name", HELLO, answered(("", "b")), UNREADY),
    ("a blank in a name", HELLO, answered(("x a", "b")), UNREADY),
    ("a line feed in a value", HELLO, answered(("x", "a\nb")), UNREADY),
    ("NUL in a value", HELLO, answered(("x", "a\0b")), UNREADY),
    ("high bytes in a value", HELLO, answered(("x", "\xff")), READY),
    ("connection field", HELLO, answered(("connection", "close")), READY),
    ("no content type", HELLO, headers(STATUS) + SERVING + TRAILERS, UNREADY),
    (
        "content type twice, the second gRPC",
        HELLO,
        headers(STATUS, ("content-type", "text/html"), TYPE) + SERVING + TRAILERS,
        READY,
    ),
    ("application/grpc+proto", HELLO, typed("application/grpc+proto"), READY),
    ("application/grpc;charset=x", HELLO, typed("application/grpc;charset=x"), READY),
    ("application/grpc+", HELLO, typed("application/grpc+"), READY),
    ("application/grpc-web", HELLO, typed("application/grpc-web"), UNREADY),
    ("application/grpc with a blank after it", HELLO, typed("application/grpc "), UNREADY),
    ("Application/gRPC", HELLO, typed("Application/gRPC"), UNREADY),
    ("application/json", HELLO, typed("application/json"), UNREADY),
    ("grpc-encoding: identity", HELLO, answered(("grpc-encoding", "identity")), READY),
    ("grpc-encoding: gzip, unused", HELLO, answered(("grpc-encoding", "gzip")), READY),
    (
        "grpc-encoding: gzip, compressed",
        HELLO,
        headers(STATUS, TYPE, ("grpc-encoding", "gzip")) + data(message(b"\x08\x01", 1)) + TRAILERS,
        UNREADY,
    ),
    ("grpc-status in the head as well", HELLO, answered(("grpc-status", "5")), READY),
    ("a head of 15 KiB", HELLO, answered(("x", "y" * 15_000)), READY),
    (
        "a head of 17 KiB",
        HELLO,
        headers(STATUS, TYPE, flags=0) + frame(CONTINUATION, fields(("x", "y" * 8_000)), 0, 1)
        + frame(CONTINUATION, fields(("x", "y" * 9_000)), END_HEADERS, 1) + SERVING + TRAILERS,
        NOT_KNOWN,
        READY,
    ),
    (
        "fields that may not be indexed",
        HELLO,
        headers(block=b"\x10" + string(":status") + string("200") + fields(TYPE)) + SERVING + TRAILERS,
        READY,
    ),
    ("indexed fields", HELLO, headers(block=b"\x88\x0f\x10" + string("application/grpc")) + SERVING + TRAILERS, READY),
    ("a table size of 0", HELLO, headers(block=b"\x20" + fields(STATUS, TYPE)) + SERVING + TRAILERS, READY),
    # RFC 7541 section 4.2 allows it in front only; grpc-go does not mind while the table is empty.
    (
        "a table size after a field",
        HELLO,
        headers(block=fields(STATUS) + b"\x20" + fields(TYPE)) + SERVING + TRAILERS,
        NOT_KNOWN,
        READY,
    ),
    ("an index of nothing", HELLO, headers(block=fields(STATUS, TYPE) + b"\x80") + SERVING + TRAILERS, UNREADY),
    # The program has no table but the static one, and asks the server to use no other.
    ("an index over the table", HELLO, headers(block=fields(STATUS, TYPE) + b"\xfe") + SERVING + TRAILERS, *SAYS_NOTHING),
    (
        "an index of a field that came before",
        HELLO,
        headers(block=fields(STATUS, TYPE) + b"\x40" + string("x") + string("y"))
        + SERVING + headers(block=b"\xbe" + fields(("grpc-status", "0")), end=True),
        NOT_KNOWN,
        READY,
    ),
    (
        "a length in more bytes than needed",
        HELLO,
        headers(block=fields(STATUS, TYPE) + b"\0\x7f" + b"\x80" * 7 + b"\0" + b"x" * 127 + string("y")) + SERVING + TRAILERS,
        READY,
    ),
    (
        "a length in too many bytes",
        HELLO,
        headers(block=fields(STATUS, TYPE) + b"\0\x7f" + b"\x80" * 9 + b"\0" + b"x" * 127 + string("y")) + SERVING + TRAILERS,
        UNREADY,
    ),
    ("a field cut off", HELLO, headers(block=fields(STATUS, TYPE)[:-1]) + SERVING + TRAILERS, UNREADY),
    (
        "Huffman coding",
        HELLO,
        headers(block=b"\x88\x0f\x10\x8b\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64") + SERVING + TRAILERS,
        READY,
    ),
    (
        "Huffman coding, padded with zeros",
        HELLO,
        headers(block=fields(STATUS, TYPE) + b"\0\x81\x18" + string("x")) + SERVING + TRAILERS,
        UNREADY,
    ),
    # The end.
    ("trailers only, 0", HELLO, headers(STATUS, TYPE, ("grpc-status", "0"), end=True), UNREADY),
    ("trailers only, 5", HELLO, headers(STATUS, TYPE, ("grpc-status", "5"), end=True), UNREADY),
    ("grpc-status 5", HELLO, ended(("grpc-status", "5"), ("grpc-message", "no")), UNREADY),
    ("grpc-status 00", HELLO, ended(("grpc-status", "00")), READY),
    ("grpc-status +0", HELLO, ended(("grpc-status", "+0")), READY),
    ("grpc-status -1", HELLO, ended(("grpc-status", "-1")), UNREADY),
    ("grpc-status with a blank", HELLO, ended(("grpc-status", " 0")), UNREADY),
    ("grpc-status malformed", HELLO, ended(("grpc-status", "x")), UNREADY),
    ("grpc-status empty", HELLO, ended(("grpc-status", "")), UNREADY),
    ("grpc-status missing", HELLO, ended(("x", "y")), UNREADY),
    ("grpc-status over 32 bits", HELLO, ended(("grpc-status", "4294967296")), UNREADY),
    ("grpc-status twice, the last 0", HELLO, ended(("grpc-status", "5"), ("grpc-status", "0")), READY),
    ("grpc-status twice, the last 5", HELLO, ended(("grpc-status", "0"), ("grpc-status", "5")), UNREADY),
    ("grpc-message malformed", HELLO, ended(("grpc-status", "0"), ("grpc-message", "%zz")), READY),
    ("trailers with a content type", HELLO, ended(("content-type", "text/html"), ("grpc-status", "0")), READY),
    ("trailers with an HTTP status", HELLO, ended(STATUS, ("grpc-status", "0")), READY),
    ("empty trailers", HELLO, HEAD + SERVING + headers(end=True), UNREADY),
    # The message.
    ("NOT_SERVING", HELLO, said(b"\x08\x02"), UNREADY),
    ("SERVICE_UNKNOWN", HELLO, said(b"\x08\x03"), UNREADY),
    ("status 99", HELLO, said(b"\x08\x63"), UNREADY),
    ("no status", HELLO, said(b""), UNREADY),
    ("status twice, the last SERVING", HELLO, said(b"\x08\x02\x08\x01"), READY),
    ("status twice, the last NOT_SERVING", HELLO, said(b"\x08\x01\x08\x02"), UNREADY),
    ("status in more bytes than needed", HELLO, said(b"\x08\x81\x80\x00"), READY),
    ("status 1 beyond 32 bits", HELLO, said(b"\x08\x81\x80\x80\x80\x10"), READY),
    ("status in eleven bytes", HELLO, said(b"\x08" + b"\x81" + b"\x80" * 9 + b"\x00"), UNREADY),
    ("status over 64 bits", HELLO, said(b"\x08" + b"\x81" + b"\x80" * 8 + b"\x02"), UNREADY),
    ("status of another wire type", HELLO, said(b"\x0d\x01\0\0\0"), UNREADY),
    ("status of another wire type, then SERVING", HELLO, said(b"\x0d\x01\0\0\0\x08\x01"), READY),
    ("status packed", HELLO, said(b"\x0a\x01\x01"), UNREADY),
    ("unknown fields", HELLO, said(b"\x10\x05\x1a\x03abc\x21" + b"\0" * 8 + b"\x2d" + b"\0" * 4 + b"\x08\x01"), READY),
    ("an unknown group", HELLO, said(b"\x13\x18\x01\x14\x08\x01"), READY),
    ("a group that does not end", HELLO, said(b"\x08\x01\x13"), UNREADY),
    ("the end of no group", HELLO, said(b"\x08\x01\x14"), UNREADY),
    ("field number 0", HELLO, said(b"\x00\x01\x08\x01"), UNREADY),
    ("wire type 7", HELLO, said(b"\x17\x08\x01"), UNREADY),
    ("cut off", HELLO, said(b"\x08"), UNREADY),
    ("a string longer than the rest", HELLO, said(b"\x12\x09abc"), UNREADY),
    ("compressed without an encoding", HELLO, said(b"\x08\x01", compressed=1), UNREADY),
    ("a compression flag of 2", HELLO, said(b"\x08\x01", compressed=2), UNREADY),
    ("longer than said", HELLO, said(b"\x08\x01", length=1), UNREADY),
    ("shorter than said", HELLO, said(b"\x08\x01", length=3), UNREADY),
    ("a prefix cut off", HELLO, HEAD + data(b"\0\0\0") + TRAILERS, UNREADY),
    ("two", HELLO, HEAD + SERVING + SERVING + TRAILERS, UNREADY),
    ("one, and the prefix of another", HELLO, HEAD + SERVING + data(b"\0\0") + TRAILERS, READY),
    ("30 KiB of unknown fields", HELLO, HEAD + data(LONG[:16_000]) + data(LONG[16_000:]) + TRAILERS, READY),
    ("endless", HELLO, [HEAD, *[data(b"x" * 16_000)] * 20], *SAYS_NOTHING),
]


def rows(kubelet):
    for name, opening, reply, *verdicts in SCRIPTS:
        yield f"gRPC, answer: {name}", partial(judge, kubelet, opening, reply, *verdicts)


def judge(kubelet, opening, reply, verdict, kubelets_verdict=None):
    with Server(opening, reply) as server:
        ours, why = first_verdict(server.url)
        theirs, their_why = kubelet.probe(server.url)
    expected = (verdict, kubelets_verdict or verdict)
    assert (ours, theirs) == expected, f"{ours} ({why}), the kubelet {theirs} ({their_why}); expected {expected}"


class Server:
    """Says its opening to each connection, and its reply once the request has come."""

    def __init__(self, opening, reply):
        self.opening = opening
        self.reply = reply if isinstance(reply, list) else [reply]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"grpc://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection, connection.makefile("rb") as requests:
            connection.settimeout(5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                connection.sendall(self.opening)
                requests.read(len(PREFACE))
                seen = Counter()
                while not seen[DATA, END_STREAM]:
                    self.count_frame(requests, seen)
                for step in self.reply:
                    if step is CLOSE:
                        return
                    if isinstance(step, Acknowledged):
                        while seen[step.kind, ACK] < step.count:
                            self.count_frame(requests, seen)
                    else:
                        connection.sendall(step)
                while requests.read(65536):
                    pass
            except OSError:
                pass  # the client has seen enough

    @staticmethod
    def count_frame(requests, seen):
        head = requests.read(9)
        if len(head) < 9:
            raise ConnectionError("closed")
        requests.read(int.from_bytes(head[:3]))
        seen[head[3], head[4]] += 1
