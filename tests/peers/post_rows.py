"""`--post` and `--get` against real drain endpoints: Envoy's admin over a Unix socket, haproxy, an app in Go."""

import time
from functools import partial

import servers
from program import Drain

ENVOY = """
admin: {{address: {{pipe: {{path: {admin}}}}}}}
static_resources:
  listeners:
  - name: app
    traffic_direction: INBOUND
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: app
          route_config:
            virtual_hosts:
            - name: app
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: ok}}}}}}]
          http_filters:
          - name: envoy.filters.http.health_check
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
              pass_through_mode: false
              headers: [{{name: ":path", string_match: {{exact: /readyz}}}}]
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"""

HAPROXY = """
frontend app
    bind unix@{}
    http-request set-var(proc.draining) bool(true) if METH_POST {{ path /drain }}
    http-request return status 204 if METH_POST {{ path /drain }}
    http-request return status 503 if {{ path /readyz }} {{ var(proc.draining) -m bool }}
    http-request return status 200 if {{ path /readyz }}
"""

QUICK = "--period", "200ms", "--min", "1s"


def rows(_kubelet):
    yield "post, Envoy's admin over a Unix socket: /healthcheck/fail turns readiness", envoy_healthcheck_fail
    yield "post, Envoy's admin over a Unix socket: /drain_listeners closes the port", envoy_drain_listeners
    yield "post, haproxy over a Unix socket", haproxy
    for name, arguments in {
        "post": ["--post", "/drain"],
        "get": ["--get", "/drain"],
        "get, redirected": ["--get", "/drain-by-redirect"],
        "post that needs a header": ["--post", "/drain-with-token", "--header", "X-Token: secret"],
        "post answered with 303, which is not followed": ["--post", "/drain-and-see-other"],
        "post to a route that ends in a slash, which 307 tells": ["--post", "/drain-below"],
        "get and post, in the order of the line": ["--get", "/ready", "--post", "/drain"],
    }.items():
        yield f"request, Go: {name}", partial(app, arguments)
    yield "post, Starlette: to a route that ends in a slash, which 307 tells", starlette
    yield "post, Django: to a route that ends in a slash, which 301 tells", django
    yield "post, nginx: http is redirected to https", to_https


def drains(drain, readiness):
    """Ready at first, then told to drain, then unready."""
    drain.wait_for(r"is ready")
    told, _ = drain.wait_for(r"(POST|GET) .*: (200|204|303)")
    _, last = drain.end()
    verdicts = [verdict for _, verdict, _ in drain.verdicts()]
    assert verdicts == ["ready", "unready"] and "drained after" in last, drain.log()
    ready, unready = [at for at, *_ in drain.verdicts()]
    assert ready <= told <= unready, drain.log()
    assert readiness in drain.verdicts()[1][2], drain.log()


def envoy():
    admin, port = servers.folder() / "admin.sock", servers.port()
    return admin, port, servers.envoy(ENVOY.format(admin=admin, port=port), port)


def envoy_healthcheck_fail():
    admin, port, server = envoy()
    with server, Drain(
        "--until-unready", f"http://127.0.0.1:{port}/readyz", "--post", f"http://unix:{admin}:/healthcheck/fail", *QUICK, "60s"
    ) as drain:
        drains(drain, "503")


def envoy_drain_listeners():
    admin, port, server = envoy()
    with server, Drain(
        "--until-unready", f"tcp://127.0.0.1:{port}", "--post", f"http://unix:{admin}:/drain_listeners?inboundonly", *QUICK, "60s"
    ) as drain:
        drains(drain, "connection refused")


def haproxy():
    path = servers.folder() / "app.sock"
    with servers.haproxy(HAPROXY.format(path), path), Drain(
        "--until-unready", f"http://unix:{path}:/readyz", "--post", f"http://unix:{path}:/drain", *QUICK, "60s"
    ) as drain:
        drains(drain, "503")


def requests(origin, arguments):
    return [origin + word if word.startswith("/") else word for word in arguments]


def app(arguments):
    port = servers.port()
    origin = f"http://127.0.0.1:{port}"
    with servers.go("http", f"127.0.0.1:{port}"), Drain(
        "--until-unready", f"{origin}/readyz", *requests(origin, arguments), *QUICK, "60s"
    ) as drain:
        drains(drain, "503")


def starlette():
    port = servers.port()
    origin = f"http://127.0.0.1:{port}"
    with servers.python("starlette", f"127.0.0.1:{port}"), Drain(
        "--until-unready", f"{origin}/readyz", "--post", f"{origin}/drain", *QUICK, "60s"
    ) as drain:
        drains(drain, "503")


def django():
    port = servers.port()
    origin = f"http://127.0.0.1:{port}"
    with servers.python("django", f"127.0.0.1:{port}"):
        with Drain("--until-unready", f"{origin}/readyz", "--post", f"{origin}/drain", *QUICK, "2s") as drain:
            _, found = drain.wait_for(r"error: POST .* failed: 301, .*: write (\S+)$")
            ended_with_failure(drain)
        with Drain("--until-unready", f"{origin}/readyz", "--post", found[1], *QUICK, "60s") as drain:
            drains(drain, "503")


def to_https():
    port = servers.port()
    with servers.nginx(f"listen 127.0.0.1:{port}; return 308 https://$host$request_uri;", port):
        for method in ("get", "post"):
            with Drain(f"--{method}", f"http://127.0.0.1:{port}/drain", "2s") as drain:
                drain.wait_for(r"error: .* failed: 308, a redirect to https, .*: https://127.0.0.1/drain$")
                ended_with_failure(drain)


def ended_with_failure(drain):
    status = drain.process.wait(60)
    took = time.monotonic() - drain.start
    assert status == 1 and took >= 2, f"exit status {status} after {took:.3f} s\n{drain.log()}"
