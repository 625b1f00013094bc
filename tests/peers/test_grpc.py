"""`grpc://` against gRPC servers of several makes, and against servers that speak something else."""

import contextlib
import re
import signal
import time

import envoy
import pytest
import servers
from program import PATIENT, SHORT, Drain, first_verdict
from room import row

MAKES = [row("python3-grpcio", servers.python), row("grpc-go", servers.go), row("grpc-js", servers.node)]

# The service, the verdict on it, and what the log says of it.
SERVICES = [
    row("the server as a whole", "", "ready", "SERVING"),
    row("the server as a whole, with a slash", "/", "ready", "SERVING"),
    row("a service that is serving", "/up", "ready", "SERVING"),
    row("a service that is not", "/down", "unready", "NOT_SERVING"),
    row("a service of status UNKNOWN", "/undecided", "unready", "UNKNOWN"),
    row("an unknown service", "/nobody", "unready", "gRPC status 5"),
    row("a percent-encoded name", "/a.b%2FC%20d%25%C3%A9", "ready", "SERVING"),
    row("a name with a slash", "/a.b/C%20d%25%C3%A9", "ready", "SERVING"),
    row("a long name", "/" + "x" * 5000, "unready", "gRPC status 5"),
    row("an answer late but in time", "/late", "ready", "SERVING"),
    row("no answer in time", "/stuck", "not known", "timed out"),
]


def check(kubelet, url, verdict, why):
    """Our verdict is this one, and the kubelet's as well, save that it fails what says nothing here."""
    kubelets = "unready" if verdict == "not known" else verdict
    ours, our_why = first_verdict(url, timeout=SHORT if verdict == "not known" else PATIENT)
    theirs, their_why = kubelet.probe(url, expected=kubelets)
    assert (ours, theirs) == (verdict, kubelets), f"{our_why}; the kubelet: {their_why}"
    assert re.fullmatch(why, our_why)


@pytest.mark.parametrize("path, verdict, why", SERVICES)
@pytest.mark.parametrize("start", MAKES)
def test_service(kubelet, start, path, verdict, why):
    address = f"127.0.0.1:{servers.port()}"
    with start("grpc", address):
        check(kubelet, f"grpc://{address}{path}", verdict, why)


@pytest.mark.parametrize("start", MAKES)
def test_over_ipv6(kubelet, start):
    address = f"[::1]:{servers.port()}"
    with start("grpc", address):
        check(kubelet, f"grpc://{address}/up", "ready", "SERVING")


@pytest.mark.parametrize("start", MAKES)
def test_shut_down_gracefully(start):
    """An app that says NOT_SERVING at SIGTERM, and ends a second later."""
    address = f"127.0.0.1:{servers.port()}"
    options = ("--period", "200ms", "--threshold", 10, "--min", 0, "--timeout", PATIENT, "60s")
    with start("grpc", address) as server:
        with Drain("--until-unready", f"grpc://{address}/up", *options) as drain:
            drain.wait_for(r"is ready \(SERVING\)")
            time.sleep(0.5)
            server.send_signal(signal.SIGTERM)
            _, first = drain.wait_for(r"is unready \(NOT_SERVING\) at ([\d.]+)s")
            # The second check may begin at once, if the first took as long as a period.
            drain.expect("drained", at_least=float(first[1]) + 8 * 0.2)
        assert server.wait(20) is not None
    assert drain.verdicts == ["ready (SERVING)", "unready (NOT_SERVING)"], str(drain)


@pytest.mark.parametrize("start", MAKES)
def test_shut_down_during_a_check(start):
    """A server that stops for good while a check is under way announces it (GOAWAY), and still answers."""
    address = f"127.0.0.1:{servers.port()}"
    options = ("--timeout", "10s", "--min", 0, "--threshold", 1, "60s")
    with start("grpc", address) as server, Drain("--until-unready", f"grpc://{address}/late", *options) as drain:
        servers.wait_for_client(address)
        time.sleep(0.7)
        server.send_signal(signal.SIGINT)
        answered, _ = drain.wait_for(r"is ready \(SERVING\)")
        drain.wait_for(r"is unready \(connection refused\)")
        drain.expect("drained")
    assert answered >= 1.4, str(drain)


def h2c(listen):
    return servers.nginx(f"listen 127.0.0.1:{listen} http2; return 200 ok;", listen)


def nghttpd(listen):
    return servers.running("nghttpd", "--no-tls", "--address=127.0.0.1", "-d", servers.folder(), listen, accepts=listen)


def h2o(listen):
    home = servers.folder()
    (home / "h2o.conf").write_text(f"""
user: root
listen: {{host: 127.0.0.1, port: {listen}}}
hosts: {{default: {{paths: {{/: {{file.dir: {home}}}}}}}}}
""")
    return servers.running("h2o", "-c", home / "h2o.conf", accepts=listen)


@pytest.mark.parametrize("start", [
    row("HTTP/1 by nginx", lambda listen: servers.nginx(f"listen 127.0.0.1:{listen}; return 200 ok;", listen)),
    row("HTTP/1 by Go", lambda listen: servers.go("http", f"127.0.0.1:{listen}")),
    row("HTTP/1 by Python", lambda listen: servers.python("http", f"127.0.0.1:{listen}")),
    row("HTTP/1 by Node.js", lambda listen: servers.node("http", f"127.0.0.1:{listen}")),
    row("HTTP/2 by nginx", h2c),
    row("HTTP/2 by nghttpd", nghttpd),
    row("HTTP/2 by h2o", h2o),
    row("HTTP/2 by Node.js", lambda listen: servers.node("http2", f"127.0.0.1:{listen}")),
    row("TLS by nginx", lambda listen: servers.nginx_with_tls(listen, "http2")),
    row("nothing", lambda listen: contextlib.nullcontext()),
])
def test_other_servers_are_unready(kubelet, start):
    listen = servers.port()
    with start(listen):
        check(kubelet, f"grpc://127.0.0.1:{listen}", "unready", ".*")


def nginx_proxy(listen, behind):
    return servers.nginx(f"listen 127.0.0.1:{listen} http2; location / {{ grpc_pass grpc://127.0.0.1:{behind}; }}", listen)


def haproxy_proxy(listen, behind):
    sections = f"""
listen proxy
    bind 127.0.0.1:{listen} proto h2
    server app 127.0.0.1:{behind} proto h2
"""
    return servers.haproxy(sections, listen)


def envoy_proxy(listen, behind):
    options = {"@type": f"{envoy.TYPES}.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}
    http2 = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}}
    return servers.envoy(envoy.configuration(("127.0.0.1", listen), [("127.0.0.1", behind)], cluster=http2), listen)


PROXIES = [row("nginx", nginx_proxy), row("haproxy", haproxy_proxy), row("Envoy", envoy_proxy)]


@pytest.mark.parametrize("path, verdict, why", SERVICES[2:6])
@pytest.mark.parametrize("start", PROXIES)
def test_through_a_proxy(kubelet, start, path, verdict, why):
    listen, behind = servers.port(), servers.port()
    with servers.go("grpc", f"127.0.0.1:{behind}"), start(listen, behind):
        check(kubelet, f"grpc://127.0.0.1:{listen}{path}", verdict, why)


@pytest.mark.parametrize("start", PROXIES)
def test_a_proxy_with_nothing_behind_it(kubelet, start):
    listen, behind = servers.port(), servers.port()
    with start(listen, behind):
        check(kubelet, f"grpc://127.0.0.1:{listen}", "unready", ".*")
