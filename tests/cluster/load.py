"""An open load on a router: requests leave on time, whether earlier ones were answered or not."""

import dataclasses
import json
import signal
import subprocess

import up


def wait_until_routed(url, inside=()):
    """Enough answers in a row for every server of a router to have had its turn."""
    up.wait_until("the router finds the pods", lambda: answers(url, inside))


def answers(url, inside):
    attack = (*inside, "vegeta", "attack", "-rate=100/1s", "-duration=700ms", "-timeout=5s")
    sent = subprocess.run(attack, input=f"GET {url}".encode(), stdout=subprocess.PIPE).stdout
    return report(sent)["success"] == 1


def report(sent):
    """What vegeta tells of the requests that it sent."""
    return json.loads(subprocess.run(("vegeta", "report", "-type=json"), input=sent, stdout=subprocess.PIPE).stdout)


@dataclasses.dataclass
class Result:
    requests: int
    failed: int
    errors: list
    unanswered: int = 0  # of those that failed: the router itself hung up


class Load:
    def __init__(self, url, rate, requests, options, inside=()):
        """Send requests such as 'GET ?takes=20ms', in turn, at a rate such as 400/1s, until told to stop.

        `inside` is a command that starts another where the clients are.
        """
        self.results = up.WORK / "results.bin"
        self.vegeta = subprocess.Popen(
            (*inside, "vegeta", "attack", f"-rate={rate}", f"-output={self.results}", *options),
            stdin=subprocess.PIPE,
        )
        targets = (request.replace(" ", f" {url}", 1) for request in requests)
        self.vegeta.stdin.write("".join(f"{target}\n" for target in targets).encode())
        self.vegeta.stdin.close()

    def kill(self):
        self.vegeta.kill()

    def stop(self):
        self.vegeta.send_signal(signal.SIGINT)
        self.vegeta.wait()
        told = report(self.results.read_bytes())
        succeeded = told["status_codes"].get("200", 0)
        unanswered = told["status_codes"].get("0", 0)
        return Result(told["requests"], told["requests"] - succeeded, told["errors"] or [], unanswered)


OWN_END = "use of closed network connection"


class Calls:
    """The same by gRPC."""

    def __init__(self, url, rate, requests, options, inside=()):
        self.results = up.WORK / "calls.json"
        self.ghz = subprocess.Popen(
            (
                *inside,
                "ghz",
                "--insecure",
                "--async",  # an open load
                f"--rps={rate.removesuffix('/1s')}",
                "--duration=10m",
                "--connections=4",
                "--concurrency=50",
                "--format=json",
                f"--output={self.results}",
                *(f"--call={request}" for request in requests),
                *options,
                url.removeprefix("http://").removesuffix("/"),
            ),
        )

    def kill(self):
        self.ghz.kill()

    def stop(self):
        self.ghz.send_signal(signal.SIGINT)
        self.ghz.wait()
        report = json.loads(self.results.read_text())
        # ghz closes its connections where it is told to stop, and counts the calls that were open as failed.
        errors = {error: count for error, count in report["errorDistribution"].items() if OWN_END not in error}
        failed = sum(errors.values())
        return Result(report["statusCodeDistribution"].get("OK", 0) + failed, failed, list(errors))
