"""Peers that mean harm, or are broken, and what a check makes of them. What bytes mean is in `tests/verdicts`; these have none
to be read from, have too many, or take too long."""

import dataclasses
from collections.abc import Callable

from serving import HOLD, RESET, by_path, http
from tables import NOT_KNOWN, READY, UNREADY, frames


@dataclasses.dataclass
class Peer:
    name: str
    answer: Callable
    verdict: str = UNREADY
    stalls: bool = False  # it gives no verdict of itself, so that --timeout must end the check


def says(*steps, asks=True):
    """What goes through these steps of serving.py."""

    def answer(talk):
        if asks:
            talk.request()
        talk.go(steps)

    return answer


def drips(said, *at_once):
    """What says a byte a second."""
    return says(*at_once, *(step for byte in said for step in (bytes([byte]), 1)), asks=False)


def floods(*parts, with_=b"x", asks=True):
    """What says the one, and then the other without end."""

    def answer(talk):
        if asks:
            talk.request()
        talk.say(*parts)
        talk.flood(with_)

    return answer


def stalls(name, answer):
    return Peer(name, answer, NOT_KNOWN, stalls=True)


def repeats(talk):
    talk.say(talk.request(b"\r\n"))
    talk.end()


HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = HEAD + b"Content-Length: 9\r\n\r\n"
TEN_GB = HEAD + b"Content-Length: 10000000000\r\n\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def redirects_ever_further(talk):
    talk.say(http(302, Location=f"/{len(talk.request()) * 'x'}"))
    talk.end()


HTTP_PEERS = [
    stalls("accepts and says nothing", says(HOLD, asks=False)),
    stalls("one byte a second", drips(http(body=b"ok"))),
    stalls("one byte of the body a second", drips(b"123456789", BODY)),
    stalls("a redirect of which half the body stalls", says(http(302, Location="/b", body=b"x")[:-1], HOLD)),
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
    Peer("a chunk's extension without end", floods(CHUNKS, b"1;")),
    Peer("trailers without end", floods(CHUNKS, b"0\r\n", with_=b"X: y\r\n")),
    Peer("a redirect in a loop", by_path({"/a": http(302, Location="/b"), "/b": http(302, Location="/a")})),
    Peer("a redirect ever further, each Location longer", redirects_ever_further),
    Peer("a reset at once", says(RESET, asks=False)),
    Peer("two answers", says(http(body=b"ok"), http(503)), READY),
    Peer("an answer before the request", says(http(), asks=False), READY),
    Peer("its own request back", repeats),
]


def calls(text, then=HOLD):
    """What says these frames to whoever calls."""
    return says(frames(text), then, asks=False)


def floods_calls(text, with_):
    return floods(frames(text), with_=frames(with_), asks=False)


LONG_FIELD = r"\x40\x01x\x7f\xa1\x1e{4000*y}"  # x: 4,000 times y, and into the table: RFC 7541 section 6.2.1
FRAME_OF_16_MIB = r"BYTES(\xff\xff\xff\0\0\0\0\0\x01)"  # but its payload
SETTINGS_OF_16_MIB = r"BYTES(\xff\xff\xff\x04\0\0\0\0\0)"

GRPC_PEERS = [
    stalls("accepts and says nothing", calls("")),
    stalls("one byte a second", drips(frames("HELLO ANSWER"))),
    stalls("a message that announces 4 GB", calls(r"HELLO HEAD DATA(\0\xff\xff\xff\xff)")),
    Peer("a frame of 16 MiB", floods_calls(f"HELLO {FRAME_OF_16_MIB}", with_="BYTES(x)")),
    Peer("settings of 16 MiB", floods_calls(SETTINGS_OF_16_MIB, with_="BYTES(x)")),
    Peer("a flood of SETTINGS", floods_calls("", with_="HELLO"), NOT_KNOWN),
    Peer("a flood of SETTINGS of 16 KiB", floods_calls("", with_=r"SETTINGS({16380*\0})"), NOT_KNOWN),
    Peer("a flood of acknowledgements", floods_calls("HELLO", with_="SETTINGS:1()"), NOT_KNOWN),
    Peer("a flood of PING", floods_calls("HELLO", with_="PING(12345678)"), NOT_KNOWN),
    Peer("a flood of WINDOW_UPDATE", floods_calls("HELLO", with_=r"WINDOW_UPDATE(\0\0\0\x01)"), NOT_KNOWN),
    Peer("a flood of empty DATA", floods_calls("HELLO HEAD", with_="DATA()"), NOT_KNOWN),
    Peer("a flood of padding", floods_calls("HELLO HEAD", with_=r"DATA:8(\xff{255*\0})"), NOT_KNOWN),
    Peer("a flood of frames of an unknown type", floods_calls("HELLO", with_="99()"), NOT_KNOWN),
    Peer("a flood of resets of other calls", floods_calls("HELLO", with_=r"RST_STREAM@3(\0\0\0\0)"), NOT_KNOWN),
    Peer("a flood of informational headers", floods_calls("HELLO", with_="HEADERS([:status=103])"), NOT_KNOWN),
    Peer("a flood of CONTINUATION", floods_calls("HELLO HEADERS:0()", with_="CONTINUATION:0(x)"), NOT_KNOWN),
    Peer("a flood of empty CONTINUATION", floods_calls("HELLO HEADERS:0()", with_="CONTINUATION:0()"), NOT_KNOWN),
    Peer("an HPACK bomb of 48 MB", calls(rf"HELLO HEADERS(\x88{LONG_FIELD}{{12000*\xbe}})"), NOT_KNOWN),
    Peer("an HPACK bomb in each of many frames", floods_calls("HELLO", with_=f"HEADERS([:status=103]{LONG_FIELD})"), NOT_KNOWN),
    Peer("a message without end", floods_calls("HELLO HEAD", with_=r"DATA({16384*\0})"), NOT_KNOWN),
    Peer("a reset at once", calls("", then=RESET)),
    Peer("an answer, and a flood after it", floods_calls("HELLO ANSWER", with_="HELLO"), READY),
    Peer("zeros without end", floods(with_=bytes(1000), asks=False)),
    Peer("its own bytes back", repeats),
]
