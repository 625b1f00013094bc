"""gRPC servers that mean harm, or are broken. The verdicts are those of grpc-go, which is the kubelet's client."""

from peers import NOT_KNOWN, READY, Peer, drips, floods, says
from servers import (
    ACK, CALL, CONTINUATION, DATA, END_HEADERS, GRPC_HEADERS, HEADERS, PADDED, PING, RST_STREAM, SERVING, SETTINGS,
    STATUS_200, WINDOW_UPDATE, frame, grpc_message,
)  # fmt: skip

SETTLED = frame(SETTINGS, 0, 0)
ANSWERED = SETTLED + GRPC_HEADERS
INFORMATIONAL = b"\x08\x03103"  # :status: 103, as RFC 7541 section 6.2.2 has it
LONG_FIELD = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000  # x: 4,000 times y, and into the table: section 6.2.1
AGAIN = b"\xbe"  # the field that entered the table last: section 6.1
MOST_OF_A_FRAME = (1 << 24) - 1


def calls(*parts, then="hold"):
    """What says this to whoever calls."""
    return says(*parts, then=then, asks=False)


def floods_calls(*parts, with_):
    return floods(*parts, with_=with_, asks=False)


def headers(block, flags=END_HEADERS):
    return frame(HEADERS, flags, CALL, block)


def repeats(talk):
    talk.say(talk.request(b"PRI"))
    talk.end()


STALLING = [
    Peer("accepts and says nothing", calls()),
    Peer("one byte a second", drips([SERVING])),
    Peer("settings, and nothing more", calls(SETTLED)),
    Peer("headers, and nothing more", calls(ANSWERED)),
    Peer("a message, and no trailers", calls(ANSWERED, grpc_message(1))),
    Peer("half a frame", calls(ANSWERED[:-5])),
    Peer("half a frame's head", calls(SETTLED, b"\0\0")),
    Peer("an answer to another call", calls(SETTLED, SERVING.replace(b"\0\0\0\1", b"\0\0\0\3"))),
    Peer("a message that announces 4 GB", calls(ANSWERED, frame(DATA, 0, CALL, b"\0\xff\xff\xff\xff"))),
]
for peer in STALLING:
    peer.stalls, peer.verdict = True, NOT_KNOWN

GRPC_PEERS = [
    *STALLING,
    Peer("a frame of 16 MiB", floods_calls(SETTLED, frame(DATA, 0, CALL, length=MOST_OF_A_FRAME), with_=b"x")),
    Peer("settings of 16 MiB", floods_calls(frame(SETTINGS, 0, 0, length=MOST_OF_A_FRAME), with_=b"x")),
    Peer("a flood of SETTINGS", floods_calls(with_=SETTLED), NOT_KNOWN),
    Peer("a flood of SETTINGS of 16 KiB", floods_calls(with_=frame(SETTINGS, 0, 0, bytes(6) * 2730)), NOT_KNOWN),
    Peer("a flood of acknowledgements", floods_calls(SETTLED, with_=frame(SETTINGS, ACK, 0)), NOT_KNOWN),
    Peer("a flood of PING", floods_calls(SETTLED, with_=frame(PING, 0, 0, bytes(8))), NOT_KNOWN),
    Peer("a flood of WINDOW_UPDATE", floods_calls(SETTLED, with_=frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")), NOT_KNOWN),
    Peer("a flood of empty DATA", floods_calls(ANSWERED, with_=frame(DATA, 0, CALL)), NOT_KNOWN),
    Peer("a flood of padding", floods_calls(ANSWERED, with_=frame(DATA, PADDED, CALL, b"\xff" + bytes(255))), NOT_KNOWN),
    Peer("a flood of frames of an unknown type", floods_calls(SETTLED, with_=frame(99, 0, 0)), NOT_KNOWN),
    Peer("a flood of resets of other calls", floods_calls(SETTLED, with_=frame(RST_STREAM, 0, 3, bytes(4))), NOT_KNOWN),
    Peer("a flood of informational headers", floods_calls(SETTLED, with_=headers(INFORMATIONAL)), NOT_KNOWN),
    Peer("a flood of CONTINUATION", floods_calls(SETTLED, headers(b"", 0), with_=frame(CONTINUATION, 0, CALL, b"x")), NOT_KNOWN),
    Peer("a flood of empty CONTINUATION", floods_calls(SETTLED, headers(b"", 0), with_=frame(CONTINUATION, 0, CALL)), NOT_KNOWN),
    Peer("an HPACK bomb of 48 MB", calls(SETTLED, headers(STATUS_200 + LONG_FIELD + AGAIN * 12_000)), NOT_KNOWN),
    Peer("an HPACK bomb in each of many frames", floods_calls(SETTLED, with_=headers(INFORMATIONAL + LONG_FIELD)), NOT_KNOWN),
    Peer("an HPACK table of 4 GB", calls(SETTLED, headers(b"\x3f\xe1\xff\xff\xff\x0f"))),
    Peer("Huffman's end of string", calls(SETTLED, headers(b"\x00\x84\xff\xff\xff\xff\x01x"))),
    Peer("a message without end", floods_calls(ANSWERED, with_=frame(DATA, 0, CALL, bytes(16_384))), NOT_KNOWN),
    Peer("a reset at once", calls(then="reset")),
    Peer("a reset after the settings", calls(SETTLED, then="reset")),
    Peer("a reset after the message", calls(ANSWERED, grpc_message(1), then="reset")),
    Peer("an answer, and a flood after it", floods_calls(SERVING, with_=SETTLED), READY),
    Peer("zeros without end", floods_calls(with_=bytes(1000))),
    Peer("its own bytes back", repeats),
]
