"""Reads the tables in `tests/verdicts`, which say how their rows are written. `tests/it/table.rs` reads them as well."""

import re

from rows import ROOT

READY, UNREADY, NOT_KNOWN = "ready", "unready", "not known"

# What is slow, busy, or too much for the program, says nothing here. The kubelet fails what is slow or busy.
SAYS_NOTHING = {
    "more must come",
    "head over 16 KiB",
    "HTTP/2 headers over 16 KiB",
    "server push, which was switched off",
    "HPACK table size after a field",
    "HPACK dynamic table, which was switched off",
    *("408", "429", "504", "gRPC status 4", "gRPC status 8"),
    *("not gRPC, HTTP status 408", "not gRPC, HTTP status 429", "not gRPC, HTTP status 504"),
}


def table(name):
    """The rows: what is expected, the kubelet's verdict where it is another, and the text."""
    for line in (ROOT / "tests/verdicts" / name).read_text().splitlines():
        if line and not line.startswith("#"):
            expected, text = re.split("  +", line, maxsplit=1)
            why, _, kubelets = expected.partition(" / ")
            yield why, kubelets, text.split("  # ")[0]


def verdict_of(why):
    if why in SAYS_NOTHING:
        return NOT_KNOWN
    return READY if why == "SERVING" or why.isdigit() and 200 <= int(why) < 400 else UNREADY


def unescaped(text):
    """The bytes that a text stands for."""
    text = re.sub(r"\{(\d+)\*(.*?)\}", lambda repeated: repeated[2] * int(repeated[1]), text)
    return re.sub(rb"\\(x..|.)", lambda escape: ESCAPES.get(escape[1]) or bytes.fromhex(escape[1][1:].decode()), text.encode())


ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}

# RFC 9113 section 6.
KINDS = "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION".split()
WORDS = {
    "HELLO": "SETTINGS()",
    "HEAD": "HEAD()",
    "SERVING": r"SAYS(\x08\x01)",
    "TRAILERS": "END([grpc-status=0])",
    "ANSWER": "HEAD SERVING TRAILERS",
    "CLOSE": "BYTES()",
}


def frames(text):
    """The bytes of frames."""
    return b"".join(frames(WORDS[word]) if word in WORDS else frame(word) for word in text.split())


def frame(word):
    kind, flags, stream, payload = re.fullmatch(r"(\w+)(?::(\w+))?(?:@(\d+))?\((.*)\)", word).groups()
    match kind:
        case "BYTES":
            return unescaped(payload)
        case "HEAD":
            return frame(f"HEADERS([:status=200][content-type=application/grpc]{payload})")
        case "END":
            return frame(f"HEADERS:5({payload})")
        case "SAYS":
            return frame(rf"DATA(\0\0\0\0\x{len(unescaped(payload)):02x}{payload})")
    number = KINDS.index(kind) if kind in KINDS else int(kind)
    flags = int(flags, 16) if flags else 4 if kind in ("HEADERS", "PUSH_PROMISE", "CONTINUATION") else 0
    of_call = kind in KINDS[:4] or kind in ("PUSH_PROMISE", "CONTINUATION")
    payload = b"".join(unescaped(other) if other else field(name, value) for name, value, other in BLOCK.findall(payload))
    return len(payload).to_bytes(3) + bytes([number, flags]) + int(stream or of_call).to_bytes(4) + payload


BLOCK = re.compile(r"\[(.*?)=(.*?)\]|([^[]+)")


def field(name, value):
    return b"\0" + b"".join(length(len(text)) + text for text in map(unescaped, (name, value)))


def length(value):
    """RFC 7541 section 5.1, with seven bits."""
    out, rest = bytes([min(value, 127)]), value - 127
    while rest >= 0:
        out += bytes([rest & 127 | (128 if rest > 127 else 0)])
        rest = (rest >> 7) or -1
    return out
