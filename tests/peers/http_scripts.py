"""Byte for byte what a server may say to an HTTP check, and the verdict.

Each is judged by the program and by the kubelet's own prober. They must agree, on the verdict and on the requests that
redirects lead to, save where the program departs from it."""

import pathlib
import re
import string
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from program import first_verdict
from scripted import HOLD, RESET, Scripted

VERDICTS = pathlib.Path(__file__).parent.parent / "verdicts"
READY, UNREADY, NOT_KNOWN = "ready", "unready", "not known"
PRINTABLE = string.digits + string.ascii_letters + string.punctuation
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def location(value, status=302):
    return b"HTTP/1.1 %d x\r\nLocation: %s\r\n" % (status, value) + EMPTY


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
    kubelets_verdict: str = ""  # where it is another: it fails what is too slow or too much, and says nothing here
    origin: str = ORIGIN
    headers: tuple = ()


JOURNEYS = [
    Journey("reset", "/", {"/": RESET}, UNREADY),
    Journey("reset in the body", "/", {"/": (OK + b"Content-Length: 5\r\n\r\nabc", 0.1, RESET)}, UNREADY),
    Journey("reset in a body without an end", "/", {"/": (OK + b"\r\nabc", 0.1, RESET)}, UNREADY),
    Journey("reset after 10 KiB", "/", {"/": (OK + b"\r\n" + b"x" * 10_241, 0.1, RESET)}, READY),
    Journey("drips", "/", {"/": (OK + b"Content-Length: 9\r\n\r\n", *[b"x", 0.7] * 9)}, NOT_KNOWN),
    Journey("endless fields", "/", {"/": (OK, *[b"A: %s\r\n" % (b"x" * 1000)] * 2000, HOLD)}, NOT_KNOWN),
    Journey("byte by byte", "/", {
        "/": [step for byte in OK + EMPTY for step in (bytes([byte]), 0.005)],
    }, READY),
    Journey("chunks byte by byte", "/", {
        "/": [step for byte in CHUNKED + b"3;a\r\nabc\r\n0\r\n\r\n" for step in (bytes([byte]), 0.005)],
    }, READY),
    Journey("malformed after 10 KiB have come", "/", {
        "/": (CHUNKED + b"2800\r\n" + b"x" * 0x2800, 0.2, b"\r\nzzz\r\n"),
    }, READY),
    Journey("1xx, one after 0.1 s each", "/", {"/": (*[b"HTTP/1.1 102 x\r\n\r\n", 0.1] * 5, OK + EMPTY)}, READY),
    Journey("to itself", "/", {"/": location(b"/")}, UNREADY),
    Journey("an upper-case name", "/", {"/": b"HTTP/1.1 302 x\r\nLOCATION: /x\r\n" + EMPTY}, UNREADY),
    Journey("after 100", "/", {"/": b"HTTP/1.1 100 x\r\n\r\n" + location(b"/x")}, UNREADY),
    Journey("elsewhere, and the body breaks off", "/", {
        "/": b"HTTP/1.1 302 x\r\nLocation: http://example.com/\r\nContent-Length: 9\r\n\r\n",
    }, UNREADY),
    Journey("elsewhere, and the body stalls", "/", {
        "/": (b"HTTP/1.1 302 x\r\nLocation: http://example.com/\r\nContent-Length: 9\r\n\r\n", HOLD),
    }, NOT_KNOWN),
    Journey("malformed, and the body stalls", "/", {
        "/": (b"HTTP/1.1 302 x\r\nLocation: /%zz\r\nContent-Length: 9\r\n\r\n", HOLD),
    }, UNREADY),
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
    }, NOT_KNOWN),
    Journey("it stalls where a redirect leads", "/", {"/": location(b"/x"), "/x": HOLD}, NOT_KNOWN),
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
    for why, kubelets, text in table("responses"):
        said = unescaped(text.removesuffix("{hold}"))
        reply = (said, HOLD) if text.endswith("{hold}") else said
        because = "timed out" if why == "more must come" else why
        yield f"HTTP, response: {text}", partial(judge, kubelet, one_check(reply, verdict_of(why), kubelets), because)
    for why, kubelets, text in table("locations"):
        reply = location(unescaped(text.replace("{port}", "@PORT@").replace("{other}", "@OTHER@")))
        verdict = READY if why in ("elsewhere", "https") else UNREADY  # what is followed ends at a 503
        yield f"HTTP, Location: {text}", partial(judge, kubelet, one_check(reply, verdict, kubelets))
    for journey in JOURNEYS:
        yield f"HTTP, requests: {journey.name}", partial(judge, kubelet, journey)


def table(name):
    """The rows of a table: what is expected, the kubelet's verdict where it is another, and the text."""
    for line in (VERDICTS / name).read_text().splitlines():
        if line and not line.startswith("# "):
            expected, text = re.split("  +", line, maxsplit=1)
            why, _, kubelets = expected.partition(" / ")
            yield why, kubelets, text


def unescaped(text):
    text = re.sub(r"\{(\d+) (.*?)\}", lambda repeated: repeated[2] * int(repeated[1]), text)
    return text.encode("latin1").decode("unicode_escape").encode("latin1")


def verdict_of(why):
    if why in ("more must come", "head over 16 KiB"):
        return NOT_KNOWN
    return READY if why.isdigit() and 200 <= int(why) < 400 else UNREADY


def one_check(reply, verdict, kubelets):
    return Journey("", "/a/b?q", {"/a/b?q": reply}, verdict, kubelets)


def judge(kubelet, journey, because=""):
    with Scripted(journey.replies, "::1" if "[" in journey.origin else "127.0.0.1") as server:
        url = journey.origin.replace("@PORT@", str(server.port)) + journey.path
        options = [option for header in journey.headers for option in ("--header", header)]
        ours, why = first_verdict(url, *options)
        our_requests, server.requests = comparable(server.requests), []
        theirs, their_why = kubelet.probe(url, journey.headers)
        their_requests = comparable(server.requests)
    default = UNREADY if journey.verdict == NOT_KNOWN else journey.verdict
    expected = (journey.verdict, journey.kubelets_verdict or default)
    assert (ours, theirs) == expected, f"{ours} ({why}), the kubelet {theirs} ({their_why}); expected {expected}"
    assert why.startswith(because), f"{why}, not {because}"
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
