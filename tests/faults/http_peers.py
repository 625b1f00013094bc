"""HTTP servers that mean harm, or are broken. The verdicts are those of the README."""

from peers import NOT_KNOWN, READY, UNREADY, Peer, drips, floods, says
from servers import http

HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = HEAD + b"Content-Length: 9\r\n\r\n"
TEN_GB = HEAD + b"Content-Length: 10000000000\r\n\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def redirects(location):
    return says(http(302, Location=location))


def redirects_in_a_loop(talk):
    here = b"GET /a" in talk.request()
    talk.say(http(302, Location="/b" if here else "/a"))
    talk.end()


def redirects_ever_further(talk):
    talk.say(http(302, Location=f"/{len(talk.request()) * 'x'}"))
    talk.end()


def redirects_and_stalls(talk):
    first = b"GET /a" in talk.request()
    talk.say(b"HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nhalf" if first else http(200))
    talk.hold()


def repeats(talk):
    talk.say(talk.request())
    talk.end()


STALLING = [
    Peer("accepts and says nothing", says(then="hold", asks=False)),
    Peer("reads the request and says nothing", says(then="hold")),
    Peer("one byte a second", drips([http(body=b"ok")])),
    Peer("one byte of the body a second", drips([b"123456789"], BODY), get=READY, post=READY),
    Peer("half a status line", says(b"HTTP/1.1 2", then="hold")),
    Peer("half a head", says(HEAD + b"Content-", then="hold")),
    Peer("half a body", says(BODY, b"half", then="hold"), get=READY, post=READY),
    Peer("a body without an announced end", says(HEAD, b"\r\nhalf", then="hold"), get=READY, post=READY),
    Peer("half a chunk", says(CHUNKS, b"9\r\nhalf", then="hold"), get=READY, post=READY),
    Peer("a redirect of which half the body stalls", redirects_and_stalls, get=READY, post=READY),
    Peer("1xx, and nothing more", says(b"HTTP/1.1 100 Continue\r\n\r\n", then="hold")),
]
for peer in STALLING:
    peer.stalls, peer.verdict = True, NOT_KNOWN

HTTP_PEERS = [
    *STALLING,
    Peer("1xx without end", floods(with_=b"HTTP/1.1 103 Early\r\n\r\n"), NOT_KNOWN),
    Peer("1xx with fields without end", floods(b"HTTP/1.1 103 Early\r\n", with_=b"Link: x\r\n"), NOT_KNOWN),
    Peer("headers without end", floods(HEAD, with_=b"X: y\r\n"), NOT_KNOWN),
    Peer("one header without end", floods(HEAD, with_=b"X" * 1000), NOT_KNOWN),
    Peer("a status line without end", floods(b"HTTP/1.1 200 ", with_=b"OK"), NOT_KNOWN),
    Peer("blank lines without end", floods(with_=b"\r\n")),
    Peer("zeros without end", floods(with_=bytes(1000))),
    Peer("10 GB of body", floods(TEN_GB), READY),
    Peer("10 GB of body, and 503", floods(TEN_GB.replace(b"200", b"503"))),
    Peer("a body without end", floods(HEAD, b"\r\n"), READY),
    Peer("a body of chunks without end", floods(CHUNKS, with_=b"1\r\nx\r\n"), READY),
    Peer("a chunk of 10 GB", floods(CHUNKS, b"2540be400\r\n"), READY),
    Peer("a chunk's extension without end", floods(CHUNKS, b"1;"), get=READY, post=READY),
    Peer("trailers without end", floods(CHUNKS, b"0\r\n", with_=b"X: y\r\n"), get=READY, post=READY),
    Peer("a redirect in a loop", redirects_in_a_loop, post=READY),
    Peer("a redirect to itself", redirects("/a"), post=READY),
    Peer("a redirect ever further, each Location longer", redirects_ever_further, post=READY),
    Peer("a redirect to another host", redirects("http://127.0.0.2:1/"), READY, get=UNREADY, post=UNREADY),
    Peer("a redirect to control characters", redirects("\x01\x7f")),
    Peer("a redirect to 15 KiB", redirects("http://" + "x" * 15_000), READY, get=UNREADY, post=UNREADY),
    Peer("a reset at once", says(then="reset", asks=False)),
    Peer("a reset after the request", says(then="reset")),
    Peer("a reset in mid-head", says(HEAD, then="reset")),
    Peer("a reset in mid-body", says(BODY, b"half", then="reset"), get=READY, post=READY),
    Peer("a half-close in mid-body", says(BODY, b"half"), get=READY, post=READY),
    Peer("an answer, and a line that stays open", says(http(body=b"ok"), then="hold"), READY),
    Peer("two answers", says(http(body=b"ok"), http(503)), READY),
    Peer("an answer before the request", says(http(), asks=False), READY),
    Peer("its own request back", repeats),
]
