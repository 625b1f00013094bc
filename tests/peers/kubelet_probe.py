"""What the kubelet's own probers say of a URL: the program in kubelet/, asked over its pipes."""

import json
import os
import subprocess

from program import PATIENT, SHORT


class Kubelet:
    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([os.environ["PEERS_KUBELET"]], **pipes)

    def probe(self, url, headers=(), expected="ready"):
        """The verdict on a URL in one probe, and what the prober says of it. What does not answer is unready: where that is
        expected, it is not waited for."""
        timeout = PATIENT if expected == "ready" else SHORT
        question = {"URL": url, "Headers": list(headers), "Timeout": timeout}
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return "ready" if answer["Ready"] else "unready", answer["Why"]
