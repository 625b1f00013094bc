"""`http://` against HTTP servers of several makes, over TCP and over Unix sockets."""

import re

import pytest
import servers
from program import PATIENT, SHORT, first_verdict
from room import row

READY, UNREADY, NOT_KNOWN = "ready", "unready", "not known"

# What the apps answer, and the verdict. Not every app has every path.
PATHS = {
    "/ready": READY,
    "/down": UNREADY,
    "/to-ready": READY,
    "/to-down": UNREADY,
    "/to-elsewhere": READY,
    "/loop": UNREADY,
    "/chunked": READY,
    "/big": READY,
    "/stall": NOT_KNOWN,
    "/hints": READY,
}
# What the kubelet says where that is something else: what is slow says nothing here, and fails its probe.
KUBELETS = {"/stall": UNREADY}

NGINX = """
    listen {}; root {};
    location = /ready {{ return 200 ok; }}
    location = /down {{ return 503 down; }}
    location = /to-ready {{ return 302 /ready; }}
    location = /to-down {{ absolute_redirect off; return 301 /down; }}
    location = /to-elsewhere {{ return 307 http://example.com/; }}
    location = /loop {{ return 308 /loop; }}
"""

HAPROXY = """
frontend app
    bind {}
    http-request return status 200 content-type text/plain string ok if {{ path /ready }}
    http-request redirect code 302 location /ready if {{ path /to-ready }}
    http-request redirect code 301 location /down if {{ path /to-down }}
    http-request redirect code 303 location http://example.com/ if {{ path /to-elsewhere }}
    http-request redirect code 308 location /loop if {{ path /loop }}
    http-request return status 503 content-type text/plain string down
"""


def nginx(listen, accepts):
    files = servers.folder()
    (files / "big").write_bytes(b"x" * (1 << 20))
    return servers.nginx(NGINX.format(listen, files), accepts)


def haproxy(bind, accepts):
    return servers.haproxy(HAPROXY.format(bind), accepts)


ALL = list(PATHS)
PLAIN = [path for path in PATHS if path not in ("/chunked", "/stall", "/hints")]

# The server, and which of the paths it has.
SERVERS = {
    "nginx": (lambda port: nginx(f"127.0.0.1:{port}", port), PLAIN),
    "haproxy": (lambda port: haproxy(f"127.0.0.1:{port}", port), [path for path in PLAIN if path != "/big"]),
    "Go": (lambda port: servers.go("http", f"127.0.0.1:{port}"), ALL),
    "Node.js": (lambda port: servers.node("http", f"127.0.0.1:{port}"), ALL),
    "Python": (lambda port: servers.python("http", f"127.0.0.1:{port}"), PLAIN),
}
# Proxies, in front of the app in Go.
PROXIES = [
    row("nginx", lambda port, app: servers.nginx(
        f"listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{app}; }}", port
    )),
    row("haproxy", lambda port, app: servers.haproxy(
        f"listen proxy\n    bind 127.0.0.1:{port}\n    server app 127.0.0.1:{app}\n", port
    )),
]


def check(kubelet, url, path):
    expected, kubelets = PATHS[path], KUBELETS.get(path, PATHS[path])
    ours, why = first_verdict(url + path, timeout=SHORT if expected == NOT_KNOWN else PATIENT)
    theirs, their_why = kubelet.probe(url + path, expected=kubelets)
    assert (ours, theirs) == (expected, kubelets), f"{why}; the kubelet: {their_why}"


@pytest.mark.parametrize("start, path", [
    row(f"{make}{path}", start, path) for make, (start, paths) in SERVERS.items() for path in paths
])
def test_answer(kubelet, start, path):
    port = servers.port()
    with start(port):
        check(kubelet, f"http://127.0.0.1:{port}", path)


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("start", PROXIES)
def test_through_a_proxy(kubelet, start, path):
    port, app = servers.port(), servers.port()
    with servers.go("http", f"127.0.0.1:{app}"), start(port, app):
        check(kubelet, f"http://127.0.0.1:{port}", path)


@pytest.mark.parametrize("start", PROXIES)
def test_a_proxy_with_nothing_behind_it(kubelet, start):
    port, app = servers.port(), servers.port()
    with start(port, app):
        url = f"http://127.0.0.1:{port}/ready"
        ours, why = first_verdict(url)  # haproxy tries more than once
        assert ours == kubelet.probe(url, expected="unready")[0] == "unready" and why in ("502", "503")


@pytest.mark.parametrize("start", [
    row("nginx", lambda path: nginx(f"unix:{path}", path)),
    row("haproxy", lambda path: haproxy(f"unix@{path}", path)),
    row("Go", lambda path: servers.go("http", path)),
])
def test_over_a_unix_socket(start):
    path = str(servers.folder() / "app.sock")
    with start(path) as server:
        for target, expected, why in [
            ("/ready", "ready", "200"),
            ("/down", "unready", "503"),
            ("/to-ready", "ready", "200"),
            ("/to-down", "unready", "503"),
            ("/to-elsewhere", "ready", "30[0-9], a redirect to another host, which is not followed: http://example.com/"),
            ("/loop", "unready", "more than 9 redirects"),
        ]:
            verdict, said = first_verdict(f"http://unix:{path}:{target}")
            assert verdict == expected and re.fullmatch(why, said), (target, said)
        server.terminate()
        server.wait(20)
        assert first_verdict(f"http://unix:{path}:/ready")[0] == "unready"
