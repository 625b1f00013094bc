"""What a hostile peer is, and the pieces that it is made of."""

import dataclasses
import itertools
import time
from collections.abc import Callable

# What says nothing is not known: the peer is slow, or says more than the program allows.
READY, UNREADY, NOT_KNOWN = "ready", "unready", "not known"


@dataclasses.dataclass
class Peer:
    name: str
    answer: Callable
    verdict: str = UNREADY
    stalls: bool = False  # it gives no verdict of itself, so that --timeout must end the check
    get: str = ""  # whether --get succeeds, where that is not the verdict: it waits for no body, and must reach the app
    post: str = ""  # whether --post does: 302 to the same host is success


def says(*parts, then="end", asks=True):
    """What says this, and then ends, holds the line or resets it."""

    def answer(talk):
        if asks:
            talk.request()
        talk.say(*parts)
        if parts and then == "reset":
            time.sleep(0.02)  # or what was said is lost, too
        getattr(talk, then)()

    return answer


def drips(said, *at_once):
    """What says a byte a second."""

    def answer(talk):
        talk.say(*at_once)
        for byte in itertools.chain.from_iterable(said):
            talk.say(bytes([byte]))
            time.sleep(1)

    return answer


def floods(*parts, with_=b"x", asks=True):
    """What says the one, and then the other without end."""

    def answer(talk):
        if asks:
            talk.request()
        talk.say(*parts)
        talk.flood(with_)

    return answer
