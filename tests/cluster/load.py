"""Routers, and an open load through them: requests leave on time, whether earlier ones were answered or not."""

import dataclasses
import ipaddress
import json
import signal
import subprocess
import urllib.error
import urllib.request

import up

ADDRESS = "127.0.0.1:9000"
URL = f"http://{ADDRESS}/"


def skipper(poll_seconds=3, keep_alive=True):
    """An ingress controller that learns of a pod's end when it next asks the API server."""
    return up.start(
        "skipper",
        f"-address={ADDRESS}",
        "-support-listener=",
        "-access-log-disabled",
        "-kubernetes",
        f"-kubernetes-url={up.PROXY}",
        "-enable-kubernetes-endpointslices",
        f"-source-poll-timeout={poll_seconds * 1000}",
        *([] if keep_alive else ["-disable-http-keepalives"]),
    )


def haproxy(protocol="h1"):
    """A router that knows no Kubernetes: it checks each address that a pod may have, and gives up at the third failure.

    It takes HTTP/1.1 and HTTP/2 from clients, and speaks the given protocol to the pods.
    """
    servers = "\n".join(
        f"  server {address} {address}:8080 proto {protocol} check inter 1s rise 1 fall 3"
        for address in list(ipaddress.ip_network(up.POD_SUBNET).hosts())[1:]  # the first is the bridge's
    )
    configuration = f"""
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend clients
  bind {ADDRESS}
  default_backend pods
backend pods
  option httpchk GET /readyz
{servers}
"""
    return up.start("haproxy", "-db", "-f", up.write("haproxy.cfg", configuration))


def wait_until_routed():
    """Enough answers in a row for every server of a router to have had its turn."""
    up.wait_until("the router finds the pods", lambda: all(answers() for _ in range(70)))


def answers():
    try:
        return urllib.request.urlopen(URL, timeout=5).status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@dataclasses.dataclass
class Result:
    requests: int
    failed: int
    errors: list


class Load:
    def __init__(self, rate, takes, options):
        """Send requests at a rate such as 400/1s, which take the given times in turn, until told to stop."""
        self.results = up.WORK / "results.bin"
        self.vegeta = subprocess.Popen(
            ("vegeta", "attack", f"-rate={rate}", f"-output={self.results}", *options),
            stdin=subprocess.PIPE,
        )
        self.vegeta.stdin.write("".join(f"GET {URL}?takes={time}\n" for time in takes).encode())
        self.vegeta.stdin.close()

    def stop(self):
        self.vegeta.send_signal(signal.SIGINT)
        self.vegeta.wait()
        report = json.loads(subprocess.check_output(("vegeta", "report", "-type=json", self.results)))
        succeeded = report["status_codes"].get("200", 0)
        return Result(report["requests"], report["requests"] - succeeded, report["errors"] or [])
