"""`--post` and `--get` against real drain endpoints: Envoy's admin over a Unix socket, haproxy, an app in Go."""

import envoy
import pytest
import servers
from program import PATIENT, Drain
from room import row

HAPROXY = """
frontend app
    bind unix@{}
    http-request set-var(proc.draining) bool(true) if METH_POST {{ path /drain }}
    http-request return status 204 if METH_POST {{ path /drain }}
    http-request return status 503 if {{ path /readyz }} {{ var(proc.draining) -m bool }}
    http-request return status 200 if {{ path /readyz }}
"""

QUICK = "--period", "200ms", "--min", "1s"
# A drain that lasts for 2 s, and until its request has been answered: what is watched has gone before.
ANSWERED = (
    *("--until-unready", "tcp://127.0.0.1:1", "--assume-ready", "--threshold", 1),
    *("--min", "2s", "--timeout", PATIENT, "60s"),
)


def drains(origin, arguments, readiness="503", watch="/readyz"):
    """Ready at first, then told to drain, then unready."""
    arguments = [origin + word if word.startswith("/") else word for word in arguments]
    if "--timeout" not in arguments:
        arguments += ["--timeout", PATIENT]
    with Drain("--until-unready", origin + watch, *arguments, *QUICK, "60s") as drain:
        ready, _ = drain.wait_for(r"is ready \(")
        told, _ = drain.wait_for(r"(POST|GET) .*: (200|204|303)")
        unready, _ = drain.wait_for(r"is unready \(")
        drain.expect("drained after")
    assert ready <= told and ready <= unready, str(drain)  # a check may come between the request and its answer
    assert [verdict.split()[0] for verdict in drain.verdicts] == ["ready", "unready"], str(drain)
    assert readiness in drain.verdicts[1], str(drain)


@pytest.fixture
def running_envoy():
    """Its admin interface's socket and its listener's port."""
    admin, port = servers.folder() / "admin.sock", servers.port()
    readyz = [{"name": ":path", "string_match": {"exact": "/readyz"}}]
    health = envoy.extension("http.health_check", "HealthCheck", pass_through_mode=False, headers=readyz)
    socket = {"address": {"pipe": {"path": str(admin)}}}
    with servers.envoy(envoy.configuration(("127.0.0.1", port), filters=[health], admin=socket), port):
        yield f"http://unix:{admin}:", port


def test_envoy_healthcheck_fail(running_envoy):
    admin, port = running_envoy
    drains(f"http://127.0.0.1:{port}", ["--post", f"{admin}/healthcheck/fail"])


def test_envoy_drain_listeners_closes_the_port(running_envoy):
    admin, port = running_envoy
    drains(f"tcp://127.0.0.1:{port}", ["--post", f"{admin}/drain_listeners?inboundonly"], "connection refused", watch="")


def test_haproxy_over_a_unix_socket():
    path = servers.folder() / "app.sock"
    with servers.haproxy(HAPROXY.format(path), path):
        drains(f"http://unix:{path}:", ["--post", "/drain"])


@pytest.mark.parametrize("arguments", [
    row("post", ["--post", "/drain"]),
    row("get", ["--get", "/drain"]),
    row("get, redirected", ["--get", "/drain-by-redirect"]),
    row("post that needs a header", ["--post", "/drain-with-token", "--header", "X-Token: secret"]),
    row("post answered with 303, which is not followed", ["--post", "/drain-and-see-other"]),
    row("post to a route that ends in a slash, which 307 tells", ["--post", "/drain-below"]),
    row("get and post, in the order of the command line", ["--get", "/ready", "--post", "/drain"]),
    row("post to a handler that streams, and gives up if the client has gone", ["--post", "/drain-streaming"]),
    row(
        "post to a handler that answers late, and gives up if the client has gone",
        ["--post", "/drain-late", "--timeout", "1s"],
    ),
    row("post answered with 503 the first time", ["--post", "/drain-if-asked-again"]),
])
def test_go(arguments):
    address = f"127.0.0.1:{servers.port()}"
    with servers.go("http", address):
        drains(f"http://{address}", arguments)


@pytest.mark.parametrize("path", [
    row("307, to a route that ends in a slash", "/drain"),
    row("a handler that streams, and is cancelled if the client has gone", "/drain-streaming"),
])
def test_starlette(path):
    address = f"127.0.0.1:{servers.port()}"
    with servers.python("starlette", address):
        drains(f"http://{address}", ["--post", path])


def test_django_sends_301_to_a_route_that_ends_in_a_slash():
    address = f"127.0.0.1:{servers.port()}"
    origin = f"http://{address}"
    with servers.python("django", address):
        with Drain("--post", f"{origin}/drain", *ANSWERED) as drain:
            _, found = drain.wait_for(r"error: POST .* failed: 301, .*: write (\S+)$")
            drain.expect(status=1, at_least=2)
        drains(origin, ["--post", found[1]])


@pytest.mark.parametrize("method", ["get", "post"])
def test_nginx_redirects_to_https(method):
    port = servers.port()
    with servers.nginx(f"listen 127.0.0.1:{port}; return 308 https://$host$request_uri;", port):
        with Drain(f"--{method}", f"http://127.0.0.1:{port}/drain", *ANSWERED) as drain:
            why = r"error: .* failed: 308, a redirect to https, .*: https://127.0.0.1/drain$"
            drain.expect(why, status=1, at_least=2)
