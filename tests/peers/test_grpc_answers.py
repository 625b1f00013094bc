"""Frame by frame what a server may answer to a gRPC health check, and the verdict: the table in `tests/verdicts`.

Each row is judged by the program and by the kubelet's own prober, which must agree save where the row gives a verdict of its
own for the kubelet."""

import pytest
from program import first_verdict
from room import row
from serving import Server
from tables import frames, table
from test_http_answers import agree, time_for

# The head of the frame that ends the client's call: DATA with END_STREAM, on stream 1.
CALLED = b"\0\x01\0\0\0\x01"


@pytest.mark.parametrize("why, kubelets, text", [row(*line) for line in table("grpc")])
def test_answer(kubelet, why, kubelets, text):
    first, _, rest = text.partition(" ")

    def answer(talk):
        talk.say(frames(first))
        if rest:
            talk.request(CALLED)
            talk.say(frames(rest))
        if text.endswith("CLOSE"):
            talk.end()
        talk.hold()

    with Server(answer) as server:
        url = f"grpc://127.0.0.1:{server.port}"
        agree(first_verdict(url, timeout=time_for(why)), lambda expected: kubelet.probe(url, expected=expected), why, kubelets)
