"""`http://` against HTTP servers of several makes, over TCP and over Unix sockets."""

import re
from functools import partial

import servers
from program import Drain, first_verdict

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


def tcp(start):
    return lambda port: start(f"127.0.0.1:{port}", port)


# The server, and which of the paths it has.
SERVERS = {
    "nginx": (tcp(nginx), [path for path in PATHS if path not in ("/chunked", "/stall", "/hints")]),
    "haproxy": (tcp(haproxy), [path for path in PATHS if path not in ("/chunked", "/big", "/stall", "/hints")]),
    "Go": (lambda port: servers.go("http", f"127.0.0.1:{port}"), list(PATHS)),
    "Node.js": (lambda port: servers.node("http", f"127.0.0.1:{port}"), list(PATHS)),
    "Python": (
        lambda port: servers.python("http", f"127.0.0.1:{port}"),
        [path for path in PATHS if path not in ("/chunked", "/stall", "/hints")],
    ),
}
# Proxies, in front of the app in Go.
PROXIES = {
    "nginx": lambda port, app: servers.nginx(
        f"listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{app}; }}", port
    ),
    "haproxy": lambda port, app: servers.haproxy(
        f"listen proxy\n    bind 127.0.0.1:{port}\n    server app 127.0.0.1:{app}\n", port
    ),
}
UNIX = {
    "nginx": lambda path: nginx(f"unix:{path}", path),
    "haproxy": lambda path: haproxy(f"unix@{path}", path),
    "Go": lambda path: servers.go("http", path),
}
UNIX_PATHS = [
    ("/ready", "ready", "200"),
    ("/down", "unready", "503"),
    ("/to-ready", "ready", "200"),
    ("/to-down", "unready", "503"),
    ("/to-elsewhere", "ready", "30[0-9], a redirect to another host, which is not followed: http://example.com/"),
    ("/loop", "unready", "more than 9 redirects"),
]


def rows(kubelet):
    for make, (start, paths) in SERVERS.items():
        yield f"HTTP, {make}", partial(all_paths, kubelet, start, paths)
    for make, start in PROXIES.items():
        yield f"HTTP, {make} as a proxy", partial(through_proxy, kubelet, start)
        yield f"HTTP, {make} as a proxy with nobody behind it", partial(proxy_alone, kubelet, start)
    for make, start in UNIX.items():
        yield f"HTTP over a Unix socket, {make}", partial(over_unix, start)
        yield f"HTTP over a Unix socket, {make}: it goes away", partial(goes_away, start)


def all_paths(kubelet, start, paths):
    port = servers.port()
    with start(port):
        check_paths(kubelet, port, paths)


def check_paths(kubelet, port, paths):
    for path in paths:
        url = f"http://127.0.0.1:{port}{path}"
        ours, why = first_verdict(url)
        theirs, their_why = kubelet.probe(url)
        expected = PATHS[path], KUBELETS.get(path, PATHS[path])
        assert (ours, theirs) == expected, f"{path}: {ours} ({why}), the kubelet {theirs} ({their_why})"


def through_proxy(kubelet, start):
    port, app = servers.port(), servers.port()
    with servers.go("http", f"127.0.0.1:{app}"), start(port, app):
        check_paths(kubelet, port, PATHS)


def proxy_alone(kubelet, start):
    port, app = servers.port(), servers.port()
    with start(port, app):
        url = f"http://127.0.0.1:{port}/ready"
        ours, why = first_verdict(url, timeout=6)  # haproxy tries more than once
        assert ours == kubelet.probe(url, timeout=6)[0] == "unready" and why in ("502", "503"), f"{ours} ({why})"


def over_unix(start):
    path = servers.folder() / "app.sock"
    with start(str(path)):
        for target, *expected, why in UNIX_PATHS:
            verdict, said = first_verdict(f"http://unix:{path}:{target}")
            assert [verdict] == expected and re.fullmatch(why, said), f"{target}: {verdict} ({said})"


def goes_away(start):
    path = servers.folder() / "app.sock"
    url = f"http://unix:{path}:/ready"
    with start(str(path)) as server:
        with Drain("--until-unready", url, "--period", "200ms", "--min", 0, "60s") as drain:
            drain.wait_for(r"is ready \(200\)")
            server.terminate()
            drain.wait_for(r"is unready \((connection refused|connection reset|no such socket)\)")
            assert "drained after" in drain.end()[1], drain.log()
