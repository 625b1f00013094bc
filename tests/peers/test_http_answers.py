"""Byte for byte what a server may say to an HTTP check, and the verdict.

Each is judged by the program and by the kubelet's own prober. They must agree, on the verdict and on the requests that
redirects lead to, save where the program departs from it."""

import re
import string
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from program import PATIENT, SHORT, first_verdict
from room import row
from serving import HOLD, RESET, Server, by_path
from tables import NOT_KNOWN, READY, UNREADY, table, unescaped, verdict_of

PRINTABLE = string.digits + string.ascii_letters + string.punctuation
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def location(value, status=302):
    return b"HTTP/1.1 %d x\r\nLocation: %s\r\n" % (status, value) + EMPTY


LAST = OK + EMPTY
TO_X = b"HTTP/1.1 302 x\r\nLocation: /x\r\n"
ELSEWHERE = b"HTTP/1.1 302 x\r\nLocation: http://example.com/\r\nContent-Length: 9\r\n\r\n"
ORIGIN, IPV6, LOCALHOST = (f"http://{host}:@PORT@" for host in ("127.0.0.1", "[::1]", "localhost"))
OWN_HOST = ("Host: app.local",)


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
    Journey("byte by byte", "/", {"/": [step for byte in OK + EMPTY for step in (bytes([byte]), 0.005)]}, READY),
    Journey("chunks byte by byte", "/", {
        "/": [step for byte in CHUNKED + b"3;a\r\nabc\r\n0\r\n\r\n" for step in (bytes([byte]), 0.005)],
    }, READY),
    Journey("malformed after 10 KiB have come", "/", {"/": (CHUNKED + b"2800\r\n" + b"x" * 0x2800, 1, b"\r\nzzz\r\n")}, READY),
    Journey("1xx, one after 0.1 s each", "/", {"/": (*[b"HTTP/1.1 102 x\r\n\r\n", 0.1] * 5, OK + EMPTY)}, READY),
    Journey("to itself", "/", {"/": location(b"/")}, UNREADY),
    Journey("an upper-case name", "/", {"/": b"HTTP/1.1 302 x\r\nLOCATION: /x\r\n" + EMPTY}, UNREADY),
    Journey("after 100", "/", {"/": b"HTTP/1.1 100 x\r\n\r\n" + location(b"/x")}, UNREADY),
    Journey("elsewhere, and the body breaks off", "/", {"/": ELSEWHERE}, UNREADY),
    Journey("elsewhere, and the body stalls", "/", {"/": (ELSEWHERE, HOLD)}, NOT_KNOWN),
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
    Journey("relative to another port", "/", {"/": location(b"//127.0.0.1:@OTHER@/x"), "/x": location(b"y"), "/y": LAST}, READY),
    Journey("there and back", "/", {
        "/": location(b"http://127.0.0.1:@OTHER@/x"), "/x": location(b"http://127.0.0.1:@PORT@/y"), "/y": LAST,
    }, READY),
    Journey("elsewhere in the end", "/", {"/": location(b"/x"), "/x": location(b"http://example.com/")}, READY),
    Journey("an error in the end", "/", {"/": location(b"/x"), "/x": b"HTTP/1.1 500 x\r\n" + EMPTY}, UNREADY),
    Journey("malformed in the end", "/", {"/": location(b"/x"), "/x": b"x"}, UNREADY),
    Journey("the body of a redirect breaks off", "/", {"/": TO_X + b"Content-Length: 9\r\n\r\nabc", "/x": LAST}, READY),
    Journey("the body of a redirect is malformed", "/", {
        "/": TO_X + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n", "/x": LAST,
    }, READY),
    Journey("the body of a redirect is reset", "/", {
        "/": (TO_X + b"Content-Length: 9\r\n\r\nabc", 0.1, RESET), "/x": LAST,
    }, READY),
    Journey("the body of a redirect stalls", "/", {"/": (TO_X + b"Content-Length: 9\r\n\r\nabc", HOLD), "/x": LAST}, NOT_KNOWN),
    Journey("it stalls where a redirect leads", "/", {"/": location(b"/x"), "/x": HOLD}, NOT_KNOWN),
    Journey("the long body of a redirect stalls", "/", {
        "/": (TO_X + b"Content-Length: 9999\r\n\r\nabc", HOLD), "/x": LAST,
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
    Journey("IPv6", "/", {"/": LAST}, READY, origin=IPV6),
    Journey("IPv6, followed", "/", {
        "/": location(b"http://[::1]:@OTHER@/x"), "/x": location(b"y"), "/y": LAST,
    }, READY, origin=IPV6),
    Journey("IPv6, written otherwise", "/", {"/": location(b"http://[0:0:0:0:0:0:0:1]:@OTHER@/x")}, READY, origin=IPV6),
    Journey("IPv6, zone", "/", {"/": location(b"http://[::1%25lo]:@OTHER@/x")}, READY, origin=IPV6),
    Journey("IPv6 to IPv4", "/", {"/": location(b"http://127.0.0.1:@OTHER@/x")}, READY, origin=IPV6),
    Journey("localhost, followed", "/", {"/": location(b"http://localhost:@OTHER@/x"), "/x": LAST}, READY, origin=LOCALHOST),
    Journey("localhost, upper case", "/", {"/": location(b"http://LOCALHOST:@OTHER@/x")}, READY, origin=LOCALHOST),
    Journey("localhost to its address", "/", {"/": location(b"http://127.0.0.1:@OTHER@/x")}, READY, origin=LOCALHOST),
    Journey("own Host", "/", {"/": LAST}, READY, headers=OWN_HOST),
    Journey("own Host, relative", "/", {"/": location(b"/x"), "/x": LAST}, READY, headers=OWN_HOST),
    Journey("own Host, network path", "/", {"/": location(b"//127.0.0.1:@OTHER@/x"), "/x": LAST}, READY, headers=OWN_HOST),
    Journey("own Host, absolute, then relative", "/", {
        "/": location(b"http://127.0.0.1:@OTHER@/x"), "/x": location(b"/y"), "/y": LAST,
    }, READY, headers=OWN_HOST),
    Journey("own Host, redirect to it", "/", {"/": location(b"http://app.local:@OTHER@/x")}, READY, headers=OWN_HOST),
    Journey("own User-Agent and Accept", "/", {
        "/": location(b"/x"), "/x": LAST,
    }, READY, headers=("User-Agent: me", "Accept: text/plain")),
    Journey("no User-Agent, no Accept", "/", {"/": LAST}, READY, headers=("User-Agent:", "Accept:")),
    Journey("more fields, followed", "/", {
        "/": location(b"http://127.0.0.1:@OTHER@/x"), "/x": LAST,
    }, READY, headers=("X-A: 1", "X-A: 2", "Authorization: Bearer a", "Cookie: a=b")),
]


@pytest.mark.parametrize("why, kubelets, text", [row(*line) for line in table("responses")])
def test_response(kubelet, why, kubelets, text):
    said = unescaped(text.removesuffix("{hold}"))
    one_check(kubelet, (said, HOLD) if text.endswith("{hold}") else said, why, kubelets)


@pytest.mark.parametrize("why, kubelets, text", [row(*line) for line in table("locations")])
def test_location(kubelet, why, kubelets, text):
    reply = location(unescaped(text.replace("{port}", "@PORT@").replace("{other}", "@OTHER@")))
    one_check(kubelet, reply, "302" if why in ("elsewhere", "https") else why, kubelets)


def one_check(kubelet, reply, why, kubelets):
    """What is followed leads to a 503, or in a circle, or to nobody."""
    check = Journey("", "/a/b?q", {"/a/b?q": reply}, verdict_of(why), kubelets)
    judge(kubelet, check, "" if why == "followed" else why)


@pytest.mark.parametrize("journey", JOURNEYS)
def test_requests(kubelet, journey):
    judge(kubelet, journey)


def judge(kubelet, journey, why=""):
    """Ask at a server, which may lead to another port of its own."""
    host = "::1" if "[" in journey.origin else "127.0.0.1"
    with Server(HOLD, host=host) as first, Server(HOLD, host=host) as second:
        ports = {b"@PORT@": b"%d" % first.port, b"@OTHER@": b"%d" % second.port}
        first.answer = second.answer = by_path({path: filled(steps, ports) for path, steps in journey.replies.items()})
        url = filled(journey.origin.encode(), ports).decode() + journey.path
        options = [option for header in journey.headers for option in ("--header", header)]
        ours = first_verdict(url, *options, timeout=time_for(why, journey.verdict))
        our_requests = comparable(first, second)
        probe = lambda expected: kubelet.probe(url, journey.headers, expected)
        agree(ours, probe, why, journey.kubelets_verdict, journey.verdict)
        assert our_requests == comparable(first, second)


def filled(steps, ports):
    if isinstance(steps, (tuple, list)):
        return [filled(step, ports) for step in steps]
    if isinstance(steps, bytes):
        for name, port in ports.items():
            steps = steps.replace(name, port)
    return steps


def time_for(why, verdict=None):
    """The --timeout of a check: short where that ends it."""
    return SHORT if why == "more must come" or not why and verdict == NOT_KNOWN else PATIENT


def agree(ours, probe, why, kubelets_verdict, verdict=None):
    """The program's verdict is this one, for this reason, and the kubelet's is the same unless it is given."""
    verdict = verdict or verdict_of(why)
    expected = verdict, kubelets_verdict or (UNREADY if verdict == NOT_KNOWN else verdict)
    theirs = probe(expected[1])
    told = f"{ours[0]} ({ours[1]}), the kubelet {theirs[0]} ({theirs[1]}); expected {expected}: {why}"
    assert (ours[0], theirs[0]) == expected, told
    assert ours[1].startswith("timed out" if why == "more must come" else why), told


# What may differ: the name of the client, Go's Referer, and the user information in a Location, which it sends and the
# program does not.
CLIENTS_OWN = re.compile(r"Referer:|User-Agent: (drain-sleep|kube-probe)/|Authorization: Basic ")


def comparable(*asked):
    """The requests to each server, which forgets them; without what may differ, the order of the fields, and how blanks and bytes
    over ASCII in a query are sent: Go leaves them as they are, the program escapes them, so that they cannot break the request
    line."""
    return [
        (quote(line.encode("latin1"), safe=PRINTABLE), sorted(field for field in fields if not CLIENTS_OWN.match(field)))
        for server in asked
        for line, *fields in (head.decode("latin1").removesuffix("\r\n\r\n").split("\r\n") for head in server.forget())
    ]
