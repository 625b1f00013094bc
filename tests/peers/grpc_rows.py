"""`grpc://` against gRPC servers of several makes, and against servers that speak something else."""

import contextlib
import re
import signal
import time
from functools import partial

import servers
from program import Drain, first_verdict

IMPLEMENTATIONS = {"python3-grpcio": servers.python, "grpc-go": servers.go, "@grpc/grpc-js": servers.node}

# The service, the verdict on it, and what the log says of it.
SERVICES = [
    ("the server as a whole", "", "ready", "SERVING"),
    ("the server as a whole, with a slash", "/", "ready", "SERVING"),
    ("a service that is serving", "/up", "ready", "SERVING"),
    ("a service that is not", "/down", "unready", "NOT_SERVING"),
    ("a service of status UNKNOWN", "/undecided", "unready", "UNKNOWN"),
    ("an unknown service", "/nobody", "unready", "gRPC status 5"),
    ("a percent-encoded name", "/a.b%2FC%20d%25%C3%A9", "ready", "SERVING"),
    ("a name with a slash", "/a.b/C%20d%25%C3%A9", "ready", "SERVING"),
    ("a long name", "/" + "x" * 5000, "unready", "gRPC status 5"),
    ("an answer late but in time", "/late", "ready", "SERVING"),
    ("no answer in time", "/stuck", "not known", "timed out"),
]


def rows(kubelet):
    for make, start in IMPLEMENTATIONS.items():
        for name, path, verdict, why in SERVICES:
            yield f"gRPC, {make}: {name}", partial(service, kubelet, start, "127.0.0.1", path, verdict, why)
        yield f"gRPC, {make}: over IPv6", partial(service, kubelet, start, "[::1]", "/up", "ready", "SERVING")
        yield f"gRPC, {make}: shut down gracefully", partial(graceful_shutdown, start)
        yield f"gRPC, {make}: shut down during a check", partial(shutdown_during_check, start)
    for name, start in OTHERS.items():
        yield f"gRPC, {name}", partial(no_grpc, kubelet, start)
    for name, start in PROXIES.items():
        for service_name, path, verdict, why in SERVICES[2:6]:
            yield f"gRPC through {name}: {service_name}", partial(through_proxy, kubelet, start, path, verdict, why)
        yield f"gRPC through {name}: nobody behind it", partial(proxy_alone, kubelet, start)


def both(kubelet, url, verdict, why, timeout=4):
    """Our verdict is this one, and the kubelet's as well, save that it fails what says nothing here."""
    ours, our_why = first_verdict(url, timeout=timeout)
    theirs, their_why = kubelet.probe(url, timeout=timeout)
    kubelets = "unready" if verdict == "not known" else verdict
    assert (ours, theirs) == (verdict, kubelets), f"{ours} ({our_why}), the kubelet {theirs} ({their_why})"
    assert re.fullmatch(why, our_why), f"{our_why!r}, expected {why!r}"


def service(kubelet, start, host, path, verdict, why):
    address = f"{host}:{servers.port()}"
    with start("grpc", address):
        both(kubelet, f"grpc://{address}{path}", verdict, why)


def graceful_shutdown(start):
    """An app that says NOT_SERVING at SIGTERM, and ends a second later."""
    address = f"127.0.0.1:{servers.port()}"
    url = f"grpc://{address}/up"
    with start("grpc", address) as server:
        with Drain("--until-unready", url, "--period", "200ms", "--threshold", 10, "--min", 0, "60s") as drain:
            drain.wait_for(r"is ready \(SERVING\)")
            time.sleep(0.5)
            server.send_signal(signal.SIGTERM)
            told = time.monotonic() - drain.start
            took, last = drain.end()
        assert server.wait(20) is not None
    verdicts = [verdict for _, *verdict in drain.verdicts()]
    assert verdicts == [["ready", "SERVING"], ["unready", "NOT_SERVING"]], drain.log()
    assert "drained" in last and took >= told + 9 * 0.2, drain.log()


def shutdown_during_check(start):
    """A server that stops for good while a check is under way announces it (GOAWAY), and still answers."""
    address = f"127.0.0.1:{servers.port()}"
    url = f"grpc://{address}/late"
    with start("grpc", address) as server:
        with Drain("--until-unready", url, "--timeout", "10s", "--min", 0, "--threshold", 1, "60s") as drain:
            time.sleep(0.7)
            server.send_signal(signal.SIGINT)
            answered, _ = drain.wait_for(r"is ready \(SERVING\)")
            drain.wait_for(r"is unready \(connection refused\)")
            assert answered >= 1.4, drain.log()
            assert "drained" in drain.end()[1]


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


def tls(listen):
    home = servers.certificate()
    return servers.nginx(
        f"listen 127.0.0.1:{listen} ssl http2; ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;", listen
    )


# Servers that do not speak gRPC.
OTHERS = {
    "asked of an HTTP/1 server (nginx)": lambda listen: servers.nginx(f"listen 127.0.0.1:{listen}; return 200 ok;", listen),
    "asked of an HTTP/1 server (Go)": lambda listen: servers.go("http", f"127.0.0.1:{listen}"),
    "asked of an HTTP/1 server (Python)": lambda listen: servers.python("http", f"127.0.0.1:{listen}"),
    "asked of an HTTP/1 server (Node.js)": lambda listen: servers.node("http", f"127.0.0.1:{listen}"),
    "asked of an HTTP/2 server (nginx)": h2c,
    "asked of an HTTP/2 server (nghttpd)": nghttpd,
    "asked of an HTTP/2 server (h2o)": h2o,
    "asked of an HTTP/2 server (Node.js)": lambda listen: servers.node("http2", f"127.0.0.1:{listen}"),
    "asked of a TLS server (nginx)": tls,
    "asked of nobody": lambda listen: contextlib.nullcontext(),
}


def no_grpc(kubelet, start):
    listen = servers.port()
    with start(listen):
        both(kubelet, f"grpc://127.0.0.1:{listen}", "unready", ".*", timeout=2)


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
    return servers.envoy(f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {listen}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: grpc
          codec_type: HTTP2
          route_config:
            virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: app}}}}]}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: app
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {behind}}}}}}}}}]
""", listen)


PROXIES = {"nginx": nginx_proxy, "haproxy": haproxy_proxy, "Envoy": envoy_proxy}


def through_proxy(kubelet, start, path, verdict, why):
    listen, behind = servers.port(), servers.port()
    with servers.go("grpc", f"127.0.0.1:{behind}"), start(listen, behind):
        both(kubelet, f"grpc://127.0.0.1:{listen}{path}", verdict, why)


def proxy_alone(kubelet, start):
    listen, behind = servers.port(), servers.port()
    with start(listen, behind):
        both(kubelet, f"grpc://127.0.0.1:{listen}", "unready", ".*")
