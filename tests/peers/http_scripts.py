"""Byte for byte what a server may say to an HTTP check, and the verdict.

Each is judged by the program and by the kubelet's own prober. They must agree, on the verdict and on the requests that
redirects lead to, save where the row gives a verdict of its own for the kubelet: there the program departs from it."""

import re
import string
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from program import first_verdict
from scripted import HOLD, RESET, Scripted

READY, UNREADY, NOT_KNOWN = "ready", "unready", "not known"
# Too slow, or too much: it says nothing here, and the kubelet fails it.
SAYS_NOTHING = NOT_KNOWN, UNREADY
PRINTABLE = string.digits + string.ascii_letters + string.punctuation
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def location(value, status=302):
    return b"HTTP/1.1 %d x\r\nLocation: %s\r\n" % (status, value) + EMPTY


STATUS_LINE = [
    ("200", OK + EMPTY, READY),
    ("no reason", b"HTTP/1.1 200\r\n" + EMPTY, READY),
    ("no reason, blank", b"HTTP/1.1 200 \r\n" + EMPTY, READY),
    ("two blanks before the status", b"HTTP/1.1  200 OK\r\n" + EMPTY, READY),
    ("three blanks before the status", b"HTTP/1.1   200 OK\r\n" + EMPTY, READY),
    ("tab before the status", b"HTTP/1.1\t200 OK\r\n" + EMPTY, UNREADY),
    ("tab after the status", b"HTTP/1.1 200\tOK\r\n" + EMPTY, UNREADY),
    ("blank before the version", b" HTTP/1.1 200 OK\r\n" + EMPTY, UNREADY),
    ("empty line first", b"\r\nHTTP/1.1 200 OK\r\n" + EMPTY, UNREADY),
    ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", READY),
    ("CR CR LF", b"HTTP/1.1 200 OK\r\r\n" + EMPTY, READY),
    ("bytes that are no UTF-8 in the reason", b"HTTP/1.1 200 \xff\x00\r\n" + EMPTY, READY),
    ("two digits", b"HTTP/1.1 20 OK\r\n" + EMPTY, UNREADY),
    ("four digits", b"HTTP/1.1 2000 OK\r\n" + EMPTY, UNREADY),
    ("sign", b"HTTP/1.1 +20 OK\r\n" + EMPTY, UNREADY),
    ("minus", b"HTTP/1.1 -20 OK\r\n" + EMPTY, UNREADY),
    ("letters", b"HTTP/1.1 abc OK\r\n" + EMPTY, UNREADY),
    ("000", b"HTTP/1.1 000 OK\r\n" + EMPTY, UNREADY),
    ("099", b"HTTP/1.1 099 OK\r\n" + EMPTY, UNREADY),
    ("199 and no more", (b"HTTP/1.1 199 OK\r\n" + EMPTY, HOLD), *SAYS_NOTHING),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + EMPTY, READY),
    ("HTTP/1.9", b"HTTP/1.9 200 OK\r\n" + EMPTY, READY),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\n" + EMPTY, UNREADY, READY),
    ("HTTP/0.9", b"HTTP/0.9 200 OK\r\n" + EMPTY, UNREADY, READY),
    ("HTTP/1", b"HTTP/1 200 OK\r\n" + EMPTY, UNREADY),
    ("HTTP/01.1", b"HTTP/01.1 200 OK\r\n" + EMPTY, UNREADY),
    ("HTTP/1.10", b"HTTP/1.10 200 OK\r\n" + EMPTY, UNREADY),
    ("lower case", b"http/1.1 200 OK\r\n" + EMPTY, UNREADY),
    ("no version at all", b"<html>hello</html>\n", UNREADY),
    ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", UNREADY),
    ("HTTP/2 frames", (b"\0\0\0\x04\0\0\0\0\0", HOLD), UNREADY),
    ("TLS alert", b"\x15\x03\x01\0\x02\x02\x46", UNREADY),
    ("nothing", b"", UNREADY),
    ("nothing, open", HOLD, *SAYS_NOTHING),
    ("reset", RESET, UNREADY),
    ("cut in the line", b"HTTP/1.1 200 O", UNREADY),
    ("byte by byte", [step for byte in OK + EMPTY for step in (bytes([byte]), 0.005)], READY),
] + [
    (str(status), b"HTTP/1.1 %d x\r\n" % status + EMPTY, verdict)
    for status, verdict in [
        (201, READY), (204, READY), (206, READY), (226, READY), (299, READY), (300, READY), (304, READY), (305, READY),
        (399, READY), (400, UNREADY), (404, UNREADY), (429, UNREADY), (500, UNREADY), (503, UNREADY), (600, UNREADY),
        (999, UNREADY),
    ]
]

HEADERS = [
    ("none", OK + b"\r\n", READY),
    ("cut after the status line", OK, UNREADY),
    ("cut in a field", OK + b"Content-Le", UNREADY),
    ("cut before the empty line", OK + b"Content-Length: 0\r\n", UNREADY),
    ("no end", (OK + b"A: b\r\n", HOLD), *SAYS_NOTHING),
    ("no colon", OK + b"abc\r\n" + EMPTY, UNREADY),
    ("empty name", OK + b": x\r\n" + EMPTY, UNREADY),
    ("empty value", OK + b"A:\r\n" + EMPTY, READY),
    ("blank before the colon", OK + b"A : x\r\n" + EMPTY, READY),
    ("blank within a name", OK + b"A B: x\r\n" + EMPTY, READY),
    ("tab within a name", OK + b"A\tB: x\r\n" + EMPTY, UNREADY),
    ("blank before the colon of Content-Length", OK + b"Content-Length : 5\r\n\r\nabc", READY),
    ("blank before the colon of Transfer-Encoding", OK + b"Transfer-Encoding : chunked\r\n\r\nabc", READY),
    ("blank before the first name", OK + b" A: x\r\n" + EMPTY, UNREADY),
    ("folded", OK + b"A: x\r\n y\r\n" + EMPTY, READY),
    ("folded with a tab", OK + b"A: x\r\n\ty\r\n" + EMPTY, READY),
    ("folded name", OK + b"A\r\n B: x\r\n" + EMPTY, UNREADY),
    ("folded Content-Length", OK + b"Content-Length:\r\n 5\r\n\r\nabcde", READY),
    ("folded digits of Content-Length", OK + b"Content-Length: 1\r\n 2\r\n\r\n" + b"x" * 12, UNREADY),
    ("folded blank line", OK + b"A: x\r\n \r\n" + EMPTY, READY),
    ("folded colon", OK + b"A\r\n : x\r\n" + EMPTY, UNREADY),
    ("NUL in a value", OK + b"A: x\0y\r\n" + EMPTY, UNREADY),
    ("control byte in a value", OK + b"A: x\x01y\r\n" + EMPTY, UNREADY),
    ("DEL in a value", OK + b"A: x\x7fy\r\n" + EMPTY, UNREADY),
    ("high bytes in a value", OK + b"A: \xff\x80\r\n" + EMPTY, READY),
    ("high bytes in a name", OK + b"\xc3\xa9: x\r\n" + EMPTY, UNREADY),
    ("brackets in a name", OK + b"A(b): x\r\n" + EMPTY, UNREADY),
    ("NUL in a name", OK + b"A\0: x\r\n" + EMPTY, UNREADY),
    ("odd name", OK + b"!#$%&'*+-.^_`|~: x\r\n" + EMPTY, READY),
    ("bare CR in a value", OK + b"A: x\ry\r\n" + EMPTY, UNREADY),
    ("CR CR LF", OK + b"A: x\r\r\n" + EMPTY, UNREADY),
    ("empty line of CR CR LF", OK + b"Content-Length: 0\r\n\r\r\n", UNREADY),
    ("bare LF", OK + b"A: x\nContent-Length: 0\n\n", READY),
    ("LF CR LF", OK + b"Content-Length: 0\n\r\n", READY),
    ("a thousand fields", OK + b"A: b\r\n" * 1000 + EMPTY, READY),
    ("15 KiB", OK + b"A: %s\r\n" % (b"x" * 15 * 1024) + EMPTY, READY),
    ("over 16 KiB", OK + b"A: %s\r\n" % (b"x" * 17 * 1024) + EMPTY, NOT_KNOWN, READY),
    ("over 64 KiB, no line end", OK + b"x" * 70_000, *SAYS_NOTHING),
    ("endless", (*[OK], *[b"A: %s\r\n" % (b"x" * 1000)] * 2000, HOLD), *SAYS_NOTHING),
]

LENGTH = [
    ("exact", OK + b"Content-Length: 3\r\n\r\nabc", READY),
    ("exact, open", (OK + b"Content-Length: 3\r\n\r\nabc", HOLD), READY),
    ("zero, open", (OK + EMPTY, HOLD), READY),
    ("more than said", (OK + b"Content-Length: 3\r\n\r\nabcdef", HOLD), READY),
    ("less than said", OK + b"Content-Length: 5\r\n\r\nabc", UNREADY),
    ("less than said, open", (OK + b"Content-Length: 5\r\n\r\nabc", HOLD), *SAYS_NOTHING),
    ("reset in the body", (OK + b"Content-Length: 5\r\n\r\nabc", 0.1, RESET), UNREADY),
    ("drips", (OK + b"Content-Length: 9\r\n\r\n", *[b"x", 0.7] * 9), *SAYS_NOTHING),
    ("none, closed", OK + b"\r\nabc", READY),
    ("none, open", (OK + b"\r\nabc", HOLD), *SAYS_NOTHING),
    ("none, reset", (OK + b"\r\nabc", 0.1, RESET), UNREADY),
    ("503 that stalls", (b"HTTP/1.1 503 x\r\nContent-Length: 5\r\n\r\nabc", HOLD), *SAYS_NOTHING),
    ("twice the same", OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", READY),
    ("twice the same, blanks", OK + b"Content-Length: 3\r\nContent-Length:   3  \r\n\r\nabc", READY),
    ("twice the same, zeros", OK + b"Content-Length: 3\r\nContent-Length: 03\r\n\r\nabc", UNREADY),
    ("conflicting", OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", UNREADY),
    ("list", OK + b"Content-Length: 3, 3\r\n\r\nabc", UNREADY),
    ("plus", OK + b"Content-Length: +3\r\n\r\nabc", UNREADY),
    ("minus", OK + b"Content-Length: -3\r\n\r\nabc", UNREADY),
    ("minus zero", OK + b"Content-Length: -0\r\n\r\n", UNREADY),
    ("leading zeros", OK + b"Content-Length: 0003\r\n\r\nabc", READY),
    ("blanks around", OK + b"Content-Length:  \t 3 \t \r\n\r\nabc", READY),
    ("blank within", OK + b"Content-Length: 1 2\r\n\r\n" + b"x" * 12, UNREADY),
    ("empty", OK + b"Content-Length:\r\n\r\nabc", UNREADY),
    ("blank", OK + b"Content-Length:  \r\n\r\n", UNREADY),
    ("hexadecimal", OK + b"Content-Length: 0x3\r\n\r\nabc", UNREADY),
    ("underscore", OK + b"Content-Length: 1_0\r\n\r\n" + b"x" * 10, UNREADY),
    ("point", OK + b"Content-Length: 3.0\r\n\r\nabc", UNREADY),
    ("vertical tab", OK + b"Content-Length: \x0b3\r\n\r\nabc", UNREADY),
    ("63 bits", OK + b"Content-Length: 9223372036854775807\r\n\r\n" + b"x" * 11_000, READY),
    ("64 bits", OK + b"Content-Length: 9223372036854775808\r\n\r\n" + b"x" * 11_000, UNREADY),
    ("many digits", OK + b"Content-Length: %s\r\n\r\n" % (b"9" * 40), UNREADY),
    ("204 with one", (b"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", HOLD), READY),
    ("304 with one", (b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", HOLD), READY),
    ("204 with a bad one", b"HTTP/1.1 204 x\r\nContent-Length: x\r\n\r\n", UNREADY),
    ("304 with conflicting ones", b"HTTP/1.1 304 x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", UNREADY),
    ("204 without one, open", (b"HTTP/1.1 204 x\r\n\r\n", HOLD), READY),
    ("just 10 KiB", OK + b"Content-Length: 10240\r\n\r\n" + b"x" * 10_240, READY),
    ("over 10 KiB, then stalls", (OK + b"Content-Length: 99999\r\n\r\n" + b"x" * 10_241, HOLD), READY),
    ("under 10 KiB, then stalls", (OK + b"Content-Length: 99999\r\n\r\n" + b"x" * 10_239, HOLD), *SAYS_NOTHING),
    ("none, over 10 KiB, then stalls", (OK + b"\r\n" + b"x" * 10_241, HOLD), READY),
    ("none, over 10 KiB, then reset", (OK + b"\r\n" + b"x" * 10_241, 0.1, RESET), READY),
    ("a megabyte", OK + b"Content-Length: 1048576\r\n\r\n" + b"x" * 1_048_576, READY),
    ("a megabyte of 500", b"HTTP/1.1 500 x\r\nContent-Length: 1048576\r\n\r\n" + b"x" * 1_048_576, UNREADY),
    ("gzip that is none", OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", READY),
]

CHUNKS = [
    ("one", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", READY),
    ("one, open", (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", HOLD), READY),
    ("none", CHUNKED + b"0\r\n\r\n", READY),
    ("last one missing", CHUNKED + b"3\r\nabc\r\n", UNREADY),
    ("last line missing", CHUNKED + b"3\r\nabc\r\n0\r\n", UNREADY),
    ("last line missing, open", (CHUNKED + b"3\r\nabc\r\n0\r\n", HOLD), *SAYS_NOTHING),
    ("empty body", CHUNKED, UNREADY),
    ("stalls", (CHUNKED + b"5\r\nabc", HOLD), *SAYS_NOTHING),
    ("breaks off", CHUNKED + b"5\r\nabc", UNREADY),
    ("extension", CHUNKED + b"3;a=b\r\nabc\r\n0;c\r\n\r\n", READY),
    ("quoted extension", CHUNKED + b'3;a="b;c"\r\nabc\r\n0\r\n\r\n', READY),
    ("long extension", CHUNKED + b"3;" + b"a" * 4000 + b"\r\nabc\r\n0\r\n\r\n", READY),
    ("over-long extension", CHUNKED + b"3;" + b"a" * 5000 + b"\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("much extension", CHUNKED + (b"1;" + b"a" * 3000 + b"\r\nx\r\n") * 8 + b"0\r\n\r\n", UNREADY),
    ("blank before the extension", CHUNKED + b"3 ;a\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("blank after the size", CHUNKED + b"3 \t \r\nabc\r\n0\r\n\r\n", READY),
    ("blank before the size", CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("upper and lower case", CHUNKED + b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", READY),
    ("leading zeros", CHUNKED + b"0000000000000003\r\nabc\r\n0\r\n\r\n", READY),
    ("seventeen digits", CHUNKED + b"00000000000000003\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("64 bits", (CHUNKED + b"ffffffffffffffff\r\n" + b"x" * 11_000, HOLD), READY),
    ("minus", CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("plus", CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("0x", CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("no hexadecimal", CHUNKED + b"g\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("no size", CHUNKED + b"\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("extension alone", CHUNKED + b";a\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("data longer than its size", CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", UNREADY),
    ("data shorter than its size", CHUNKED + b"3\r\nab\r\n0\r\n\r\n", UNREADY),
    ("bare LF after the size", CHUNKED + b"3\nabc\r\n0\r\n\r\n", UNREADY),
    ("bare LF after the data", CHUNKED + b"3\r\nabc\n0\r\n\r\n", UNREADY),
    ("bare LF after the last size", CHUNKED + b"3\r\nabc\r\n0\n\r\n", UNREADY),
    ("bare LF at the end", CHUNKED + b"3\r\nabc\r\n0\r\n\n", UNREADY),
    ("CR in the extension", CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("trailers", CHUNKED + b"0\r\nA: b\r\nC: d\r\n\r\n", READY),
    ("trailers, open", (CHUNKED + b"0\r\nA: b\r\n\r\n", HOLD), READY),
    ("trailers without end", CHUNKED + b"0\r\nA: b\r\n", UNREADY),
    ("trailers without colon", CHUNKED + b"0\r\nabc\r\n\r\n", UNREADY),
    ("trailers with bare LF", CHUNKED + b"0\r\nA: b\n\n", UNREADY),
    ("trailers with bare LF and an end", CHUNKED + b"0\r\nA: b\nC: d\r\n\r\n", READY),
    ("trailers with a bad byte", CHUNKED + b"0\r\nA: \x01\r\n\r\n", UNREADY),
    ("trailer that frames", CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n", READY),
    ("trailers over 4 KiB", CHUNKED + b"0\r\nA: " + b"b" * 5000 + b"\r\n\r\n", UNREADY),
    ("over 10 KiB in one", (CHUNKED + b"10000\r\n" + b"x" * 10_241, HOLD), READY),
    ("over 10 KiB, then malformed", CHUNKED + b"2900\r\n" + b"x" * 0x2900 + b"\r\nzzz\r\n", READY),
    ("just 10 KiB, then malformed", (CHUNKED + b"2800\r\n" + b"x" * 0x2800, 0.2, b"\r\nzzz\r\n"), READY),
    ("under 10 KiB, then malformed", CHUNKED + b"27ff\r\n" + b"x" * 0x27FF + b"\r\nzzz\r\n", UNREADY),
    ("10 KiB in pieces of 1 byte", CHUNKED + b"1\r\nx\r\n" * 10_240 + b"0\r\n\r\n", READY),
    ("byte by byte", [step for byte in CHUNKED + b"3;a\r\nabc\r\n0\r\n\r\n" for step in (bytes([byte]), 0.005)], READY),
    ("503", b"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", UNREADY),
    ("in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabc", READY),
    ("with a Content-Length", OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", READY),
    ("with a bad Content-Length", OK + b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", UNREADY),
    (
        "with conflicting Content-Lengths",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        UNREADY,
    ),
    ("upper case coding", OK + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", READY),
    ("twice", OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", UNREADY),
    ("list", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", UNREADY),
    ("identity", OK + b"Transfer-Encoding: identity\r\n\r\nabc", UNREADY),
    ("gzip", OK + b"Transfer-Encoding: gzip\r\n\r\nabc", UNREADY),
    ("empty coding", OK + b"Transfer-Encoding:\r\n\r\nabc", UNREADY),
    ("coding with a parameter", OK + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", UNREADY),
    ("204 with chunks", (b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", HOLD), READY),
    ("204 with an unknown coding", b"HTTP/1.1 204 x\r\nTransfer-Encoding: x\r\n\r\n", UNREADY),
]

INFORMATIONAL = [
    ("100, 200", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + EMPTY, READY),
    ("100, 503", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\n" + EMPTY, UNREADY),
    ("103 with fields, 200", b"HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n" + OK + EMPTY, READY),
    ("102 five times, 200", b"HTTP/1.1 102 x\r\n\r\n" * 5 + OK + EMPTY, READY),
    ("102 six times, 200", b"HTTP/1.1 102 x\r\n\r\n" * 6 + OK + EMPTY, READY),
    ("102 fifty times, 200", b"HTTP/1.1 102 x\r\n\r\n" * 50 + OK + EMPTY, READY),
    ("102 after 0.1 s each, 200", (*[b"HTTP/1.1 102 x\r\n\r\n", 0.1] * 5, OK + EMPTY), READY),
    ("100 twice, 200", b"HTTP/1.1 100 x\r\n\r\n" * 2 + OK + EMPTY, READY),
    ("100 and no more", b"HTTP/1.1 100 x\r\n\r\n", UNREADY),
    ("100, open", (b"HTTP/1.1 100 x\r\n\r\n", HOLD), *SAYS_NOTHING),
    ("100 with a length", b"HTTP/1.1 100 x\r\nContent-Length: 3\r\n\r\n" + OK + EMPTY, READY),
    ("100 with a bad length", b"HTTP/1.1 100 x\r\nContent-Length: x\r\n\r\n" + OK + EMPTY, UNREADY),
    ("100 with chunks", b"HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n" + OK + EMPTY, READY),
    ("100, garbage", b"HTTP/1.1 100 x\r\n\r\nabc\r\n\r\n", UNREADY),
    ("101", b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", UNREADY),
    ("101, open", (b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", HOLD), UNREADY),
    ("101, 200", b"HTTP/1.1 101 x\r\n\r\n" + OK + EMPTY, UNREADY),
    ("100, redirect", b"HTTP/1.1 100 x\r\n\r\n" + location(b"/x"), UNREADY),
]

# What is followed ends at a 503, and what is not, at the redirect itself.
REDIRECTS = [
    (f"{status} {value.decode('latin1') or 'empty'!r}", location(value, status), *verdicts)
    for status, value, *verdicts in [
        (301, b"/x", UNREADY),
        (302, b"/x", UNREADY),
        (303, b"/x", UNREADY),
        (307, b"/x", UNREADY),
        (308, b"/x", UNREADY),
        (300, b"/x", READY),
        (304, b"/x", READY),
        (305, b"/x", READY),
        (306, b"/x", READY),
        (309, b"/x", READY),
        (201, b"/x", READY),
        (302, b"", READY),
        (308, b"", READY),
        (302, b"x", UNREADY),
        (302, b"./x", UNREADY),
        (302, b"../x", UNREADY),
        (302, b"../../../x", UNREADY),
        (302, b"..", UNREADY),
        (302, b".", UNREADY),
        (302, b"...", UNREADY),
        (302, b"x/./y/../z/", UNREADY),
        (302, b"/x/../../y/.", UNREADY),
        (302, b"/x/..", UNREADY),
        (302, b"/./x", UNREADY),
        (302, b"/%2e%2e/x", UNREADY),
        (302, b"/x//y///z", UNREADY),
        (302, b"x//..//y", UNREADY),
        (302, b"?r", UNREADY),
        (302, b"?", UNREADY),
        (302, b"?r?s", UNREADY),
        (302, b"?a=b c", UNREADY),
        (302, b"?%zz", UNREADY),
        (302, b'?"<>\\^`{|}', UNREADY),
        (302, b"#f", UNREADY),
        (302, b"/x#f", UNREADY),
        (302, b"/x#%zz", UNREADY),
        (302, b"/x#a#b", UNREADY),
        (302, b"#", UNREADY),
        (302, b"/x?r#f?s", UNREADY),
        (302, b"/x;p=1", UNREADY),
        (302, b"/x y", UNREADY),
        (302, b"/x\ty", UNREADY),
        (302, b"/x\x7fy", UNREADY),
        (302, b"/x%20y", UNREADY),
        (302, b"/x%2Fy", UNREADY),
        (302, b"/x%2fy", UNREADY),
        (302, b"/x%41", UNREADY),
        (302, b"/x%zz", UNREADY),
        (302, b"/x%", UNREADY),
        (302, b"/x%2", UNREADY),
        (302, b"/x%00", UNREADY),
        (302, b"/x%25", UNREADY),
        (302, b"/x%2Fy z", UNREADY),
        (302, b"/x|%7C", UNREADY),
        (302, b"/\xc3\xa9", UNREADY),
        (302, b"/\xff", UNREADY),
        (302, b"/?\xc3\xa9", UNREADY),
        (302, b"/\"<>\\^`{|}", UNREADY),
        (302, b"/!$&'()*+,;=:@[]~", UNREADY),
        (302, b"/x:y", UNREADY),
        (302, b"x:y", READY),
        (302, b"x/y:z", UNREADY),
        (302, b"./x:y", UNREADY),
        (302, b"1x:y", UNREADY),
        (302, b":", UNREADY),
        (302, b":x", UNREADY),
        (302, b"*", UNREADY),
        (302, b"//", UNREADY),
        (302, b"///x", UNREADY),
        (302, b"////x", UNREADY),
        (302, b"/\\x", UNREADY),
        (302, b"\\\\127.0.0.1\\x", UNREADY),
        (302, b"//127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"//127.0.0.1:@PORT@/x", UNREADY),
        (302, b"//127.0.0.1:@OTHER@", UNREADY),
        (302, b"//127.0.0.1:@OTHER@?r", UNREADY),
        (302, b"//127.0.0.2:@OTHER@/x", READY),
        (302, b"//127.0.0.1:@OTHER@:/x", READY),
        (302, b"//user@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://127.0.0.1:@PORT@/x", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@?r", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@#f", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@/x/../y", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@/x y", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@/%2f?%2f", UNREADY),
        (302, b"HTTP://127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"hTTp://127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://127.0.0.1/x", UNREADY),
        (302, b"http://127.0.0.1:/x", UNREADY),
        (302, b"http://127.0.0.1:0@OTHER@/x", UNREADY),
        (302, b"http://127.0.0.1:0/x", UNREADY),
        (302, b"http://127.0.0.1:99999/x", UNREADY),
        (302, b"http://127.0.0.1:http/x", UNREADY),
        (302, b"http://127.0.0.1:-1/x", UNREADY),
        (302, b"http://127.0.0.1:1:2/x", UNREADY),
        (302, b"http://127.0.0.2:@OTHER@/x", READY),
        (302, b"http://127.1:@OTHER@/x", READY),
        (302, b"http://127.0.0.1.:@OTHER@/x", READY),
        (302, b"http://localhost:@OTHER@/x", READY),
        (302, b"http://LOCALHOST:@OTHER@/x", READY),
        (302, b"http://example.com/x", READY),
        (302, b"http://EXAMPLE.com", READY),
        (302, b"http://user@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://user:pass@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://u%40v:p%3aq@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://u%ser@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://a@b@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://u ser@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://127.0.0.1:@OTHER@\\@example.com/x", UNREADY),
        (302, b"http://example.com\\@127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"http://127.0.0.%31:@OTHER@/x", UNREADY),
        (302, b"http://%31/x", UNREADY),
        (302, b"http://%c3%a9/x", READY),
        (302, b"http://\xc3\xa9/x", READY),
        (302, b"http://a b/x", UNREADY),
        (302, b"http://a%20b/x", UNREADY),
        (302, b"http://a%25b/x", READY),
        (302, b"http://a<b>/x", READY),
        (302, b"http://a|b/x", UNREADY),
        (302, b"http://a_b/x", READY),
        (302, b"http://[::1]:@OTHER@/x", READY),
        (302, b"http://[::ffff:127.0.0.1]:@OTHER@/x", READY),
        (302, b"http://[::1/x", UNREADY),
        (302, b"http://::1/x", UNREADY),
        (302, b"http://[::1]x/x", UNREADY),
        (302, b"http://[::1]:x/x", UNREADY),
        (302, b"http://[]/x", UNREADY),
        (302, b"http://[127.0.0.1]:@OTHER@/x", UNREADY),
        (302, b"http://[fe80::1%25lo]/x", READY),
        (302, b"http://[fe80::1%lo]/x", UNREADY),
        (302, b"http://[v1.a]/x", UNREADY),
        (302, b"http:", READY),
        (302, b"http:x", READY),
        (302, b"http:/x", READY),
        (302, b"http://", READY),
        (302, b"http:///x", READY),
        (302, b"http:////127.0.0.1/x", READY),
        (302, b"http:127.0.0.1:@OTHER@", READY),
        (302, b"http//x", UNREADY),
        (302, b"ht\xc3\xa9tp://127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"https://127.0.0.1:@OTHER@/x", READY, UNREADY),
        (302, b"HTTPS://127.0.0.1/x", READY, UNREADY),
        (302, b"https://example.com/x", READY),
        (302, b"https:", READY),
        (302, b"ftp://127.0.0.1/x", UNREADY),
        (302, b"ws://127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"h2c://127.0.0.1:@OTHER@/x", UNREADY),
        (302, b"ftp://example.com/x", READY),
        (302, b"file:///etc/passwd", READY),
        (302, b"file:/etc/passwd", READY),
        (302, b"mailto:a@127.0.0.1", READY),
        (302, b"javascript:alert(1)", READY),
        (302, b"data:,x", READY),
        (302, b"about:blank", READY),
        (302, b"urn:x:y", READY),
        (302, b"mailto:%zz", READY),
        (302, b"mailto:a b", READY),
        (302, b"mailto:", READY),
    ]
] + [
    ("none", b"HTTP/1.1 302 x\r\n" + EMPTY, READY),
    ("none, 307", b"HTTP/1.1 307 x\r\n" + EMPTY, READY),
    ("twice", b"HTTP/1.1 302 x\r\nLocation: /x\r\nLocation: http://example.com/\r\n" + EMPTY, UNREADY),
    ("twice, other host first", b"HTTP/1.1 302 x\r\nLocation: http://example.com/\r\nLocation: /x\r\n" + EMPTY, READY),
    ("empty, then another", b"HTTP/1.1 302 x\r\nLocation:\r\nLocation: /x\r\n" + EMPTY, READY),
    ("folded", b"HTTP/1.1 302 x\r\nLocation: /x\r\n y\r\n" + EMPTY, UNREADY),
    ("blanks around", b"HTTP/1.1 302 x\r\nLocation:  \t/x\t \r\n" + EMPTY, UNREADY),
    ("upper case name", b"HTTP/1.1 302 x\r\nLOCATION: /x\r\n" + EMPTY, UNREADY),
    ("blank before the colon", b"HTTP/1.1 302 x\r\nLocation : /x\r\n" + EMPTY, READY),
    ("relative, byte over ASCII in the query", location(b"?\xff"), UNREADY),
    ("body breaks off", b"HTTP/1.1 302 x\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nabc", UNREADY),
    ("other host, body breaks off", b"HTTP/1.1 302 x\r\nLocation: http://example.com/\r\nContent-Length: 9\r\n\r\n", UNREADY),
    ("none, body breaks off", b"HTTP/1.1 302 x\r\nContent-Length: 9\r\n\r\nabc", UNREADY),
    (
        "other host, body stalls",
        (b"HTTP/1.1 302 x\r\nLocation: http://example.com/\r\nContent-Length: 9\r\n\r\n", HOLD),
        *SAYS_NOTHING,
    ),
    ("malformed, body stalls", (b"HTTP/1.1 302 x\r\nLocation: /%zz\r\nContent-Length: 9\r\n\r\n", HOLD), UNREADY),
    ("to itself", location(b"/a/b?q"), UNREADY),
    ("very long", location(b"/" + b"x" * 8000), UNREADY),
]

GROUPS = {
    "status line": STATUS_LINE,
    "header": HEADERS,
    "Content-Length": LENGTH,
    "chunks": CHUNKS,
    "1xx": INFORMATIONAL,
    "Location": REDIRECTS,
}

LAST = OK + EMPTY
ORIGIN = "http://127.0.0.1:@PORT@"


def chain(hops):
    """Redirects that many times, then answers 200."""
    return {f"/{n}": location(b"/%d" % (n + 1)) for n in range(hops)} | {f"/{hops}": LAST}


@dataclass
class Journey:
    """A check that may be led to several places."""

    name: str
    path: str
    replies: dict
    verdict: str
    kubelets_verdict: str | None = None  # where it is another
    origin: str = ORIGIN
    headers: tuple = ()


JOURNEYS = [
    Journey("nine redirects", "/0", chain(9), READY),
    Journey("ten redirects", "/0", chain(10), UNREADY),
    Journey("a loop of two", "/0", {"/0": location(b"/1"), "/1": location(b"/0")}, UNREADY),
    Journey("each kind of redirect", "/1", {
        "/1": location(b"/2", 301), "/2": location(b"/3", 302), "/3": location(b"/4", 303), "/4": location(b"/5", 307),
        "/5": location(b"/6", 308), "/6": LAST,
    }, READY),
    Journey("relative to where the last one led", "/a/b/c", {
        "/a/b/c": location(b"/d/e/"), "/d/e/": location(b"f"), "/d/e/f": location(b"../g"), "/d/g": LAST,
    }, READY),
    Journey("relative to another port", "/", {
        "/": location(b"//127.0.0.1:@OTHER@/x"), "/x": location(b"y"), "/y": LAST,
    }, READY),
    Journey("there and back", "/", {
        "/": location(b"http://127.0.0.1:@OTHER@/x"), "/x": location(b"http://127.0.0.1:@PORT@/y"), "/y": LAST,
    }, READY),
    Journey("elsewhere in the end", "/", {"/": location(b"/x"), "/x": location(b"http://example.com/")}, READY),
    Journey("an error in the end", "/", {"/": location(b"/x"), "/x": b"HTTP/1.1 500 x\r\n" + EMPTY}, UNREADY),
    Journey("malformed in the end", "/", {"/": location(b"/x"), "/x": b"x"}, UNREADY),
    Journey("the body of a redirect breaks off", "/", {
        "/": b"HTTP/1.1 302 x\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nabc", "/x": LAST,
    }, READY),
    Journey("the body of a redirect is malformed", "/", {
        "/": b"HTTP/1.1 302 x\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", "/x": LAST,
    }, READY),
    Journey("the body of a redirect is reset", "/", {
        "/": (b"HTTP/1.1 302 x\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nabc", 0.1, RESET), "/x": LAST,
    }, READY),
    Journey("the body of a redirect stalls", "/", {
        "/": (b"HTTP/1.1 302 x\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nabc", HOLD), "/x": LAST,
    }, *SAYS_NOTHING),
    Journey("it stalls where a redirect leads", "/", {"/": location(b"/x"), "/x": HOLD}, *SAYS_NOTHING),
    Journey("the long body of a redirect stalls", "/", {
        "/": (b"HTTP/1.1 302 x\r\nLocation: /x\r\nContent-Length: 9999\r\n\r\nabc", HOLD), "/x": LAST,
    }, READY),
    Journey("no path", "", {"/": LAST}, READY),
    Journey("a query and no path", "?a=b", {"/?a=b": LAST}, READY),
    Journey("a path with dots", "/a/../b", {"/a/../b": LAST}, READY),
    Journey("a path with escapes", "/%2F%20%c3%a9", {"/%2F%20%c3%a9": LAST}, READY),
    Journey("relative to a path with escapes", "/a%2Fb/c", {"/a%2Fb/c": location(b"d"), "/a%2Fb/d": LAST}, READY),
    Journey("relative to a path with dots", "/a/../b/c", {"/a/../b/c": location(b"d"), "/b/d": LAST}, READY),
    Journey("a new query on a path with dots", "/a/../b?q", {"/a/../b?q": location(b"?r"), "/b?r": LAST}, READY),
    Journey("a new query on no path", "", {"/": location(b"?r"), "/?r": LAST}, READY),
    Journey("relative to no path", "?q", {"/?q": location(b"x"), "/x": LAST}, READY),
    Journey("IPv6", "/", {"/": LAST}, READY, origin="http://[::1]:@PORT@"),
    Journey("IPv6, followed", "/", {
        "/": location(b"http://[::1]:@OTHER@/x"), "/x": location(b"y"), "/y": LAST,
    }, READY, origin="http://[::1]:@PORT@"),
    Journey("IPv6, written otherwise", "/", {
        "/": location(b"http://[0:0:0:0:0:0:0:1]:@OTHER@/x"),
    }, READY, origin="http://[::1]:@PORT@"),
    Journey("IPv6, zone", "/", {"/": location(b"http://[::1%25lo]:@OTHER@/x")}, READY, origin="http://[::1]:@PORT@"),
    Journey("IPv6 to IPv4", "/", {"/": location(b"http://127.0.0.1:@OTHER@/x")}, READY, origin="http://[::1]:@PORT@"),
    Journey("localhost, followed", "/", {
        "/": location(b"http://localhost:@OTHER@/x"), "/x": LAST,
    }, READY, origin="http://localhost:@PORT@"),
    Journey("localhost, upper case", "/", {
        "/": location(b"http://LOCALHOST:@OTHER@/x"),
    }, READY, origin="http://localhost:@PORT@"),
    Journey("localhost to its address", "/", {
        "/": location(b"http://127.0.0.1:@OTHER@/x"),
    }, READY, origin="http://localhost:@PORT@"),
    Journey("own Host", "/", {"/": LAST}, READY, headers=("Host: app.local",)),
    Journey("own Host, relative", "/", {"/": location(b"/x"), "/x": LAST}, READY, headers=("Host: app.local",)),
    Journey("own Host, network path", "/", {
        "/": location(b"//127.0.0.1:@OTHER@/x"), "/x": LAST,
    }, READY, headers=("Host: app.local",)),
    Journey("own Host, absolute, then relative", "/", {
        "/": location(b"http://127.0.0.1:@OTHER@/x"), "/x": location(b"/y"), "/y": LAST,
    }, READY, headers=("Host: app.local",)),
    Journey("own Host, redirect to it", "/", {
        "/": location(b"http://app.local:@OTHER@/x"),
    }, READY, headers=("Host: app.local",)),
    Journey("own User-Agent and Accept", "/", {
        "/": location(b"/x"), "/x": LAST,
    }, READY, headers=("User-Agent: me", "Accept: text/plain")),
    Journey("no User-Agent, no Accept", "/", {"/": LAST}, READY, headers=("User-Agent:", "Accept:")),
    Journey("more fields, followed", "/", {
        "/": location(b"http://127.0.0.1:@OTHER@/x"), "/x": LAST,
    }, READY, headers=("X-A: 1", "X-A: 2", "Authorization: Bearer a", "Cookie: a=b")),
]


def rows(kubelet):
    for group, scripts in GROUPS.items():
        for name, reply, *verdicts in scripts:
            yield f"HTTP, {group}: {name}", partial(judge, kubelet, Journey(name, "/a/b?q", {"/a/b?q": reply}, *verdicts))
    for journey in JOURNEYS:
        yield f"HTTP, requests: {journey.name}", partial(judge, kubelet, journey)


def judge(kubelet, journey):
    with Scripted(journey.replies, "::1" if "[" in journey.origin else "127.0.0.1") as server:
        url = journey.origin.replace("@PORT@", str(server.port)) + journey.path
        options = [option for header in journey.headers for option in ("--header", header)]
        ours, why = first_verdict(url, *options)
        our_requests, server.requests = comparable(server.requests), []
        theirs, their_why = kubelet.probe(url, journey.headers)
        their_requests = comparable(server.requests)
    expected = (journey.verdict, journey.kubelets_verdict or journey.verdict)
    assert (ours, theirs) == expected, f"{ours} ({why}), the kubelet {theirs} ({their_why}); expected {expected}"
    assert our_requests == their_requests, f"asked\n{our_requests}, the kubelet\n{their_requests}"


# What may differ: the name of the client, Go's Referer, and the user information in a Location, which it sends and the
# program does not.
CLIENTS_OWN = re.compile(r"Referer:|User-Agent: (drain-sleep|kube-probe)/|Authorization: Basic ")


def comparable(requests):
    """Requests without what may differ, the order of the fields, and how blanks and bytes over ASCII in a query are sent:
    Go leaves them as they are, the program escapes them, so that they cannot break the request line."""
    return [
        (port, quote(line.encode("latin1"), safe=PRINTABLE), sorted(f for f in fields if not CLIENTS_OWN.match(f)))
        for port, line, fields in requests
    ]
