"""`tcp://` against TLS servers, and `unix:` against Unix sockets."""

import socket
import time
from functools import partial

import servers
from program import Drain, first_verdict


def openssl(port):
    home = servers.certificate()
    return servers.running(
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", home / "cert.pem", "-key", home / "key.pem", "-www",
        accepts=port,
    )


def nginx(port):
    home = servers.certificate()
    return servers.nginx(
        f"listen 127.0.0.1:{port} ssl; ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;", port
    )


def haproxy(port):
    home = servers.certificate()
    (home / "both.pem").write_bytes((home / "cert.pem").read_bytes() + (home / "key.pem").read_bytes())
    return servers.haproxy(
        f"frontend app\n    bind 127.0.0.1:{port} ssl crt {home}/both.pem\n    http-request return status 200\n", port
    )


TLS = {"openssl s_server": openssl, "nginx": nginx, "haproxy": haproxy}


def rows(kubelet):
    for make, start in TLS.items():
        yield f"tcp, TLS by {make}: ready until it has gone", partial(until_gone, kubelet, start)
    yield "tcp: a main container that had gone before the sidecar's hook", already_gone
    yield "tcp: never ready", never_ready
    yield "tcp: localhost is ::1 as well", localhost_v6
    yield "unix, haproxy: ready until it has gone", unix_until_gone
    yield "unix: a full backlog", full_backlog
    yield "unix: a full backlog, over HTTP", full_backlog_http
    yield "unix: a datagram socket", datagram_socket
    yield "unix: a file that is no socket", no_socket


def until_gone(kubelet, start):
    port = servers.port()
    url = f"tcp://127.0.0.1:{port}"
    with start(port) as server:
        assert kubelet.probe(url)[0] == "ready"
        with Drain("--until-unready", url, "--period", "200ms", "--min", 0, "60s") as drain:
            drain.wait_for(r"is ready \(accepts connections\)")
            time.sleep(1)
            assert drain.process.poll() is None, drain.log()
            server.terminate()
            server.wait(20)
            gone = time.monotonic() - drain.start
            took, last = drain.end()
    assert [verdict for _, verdict, _ in drain.verdicts()] == ["ready", "unready"], drain.log()
    assert "drained after" in last and took >= gone, drain.log()
    assert kubelet.probe(url)[0] == "unready"


def already_gone():
    url = f"tcp://127.0.0.1:{servers.port()}"
    with Drain("--until-unready", url, "--assume-ready", "--period", "200ms", "--min", "1s", "60s") as drain:
        took, last = drain.end()
    assert took >= 1 and "drained after" in last, drain.log()


def never_ready():
    with Drain("--until-unready", f"tcp://127.0.0.1:{servers.port()}", "--period", "200ms", "--min", 0, "2s") as drain:
        took, last = drain.end()
    assert took >= 2 and "never ready" in last, drain.log()


def localhost_v6():
    port = servers.port()
    with servers.nginx(f"listen [::1]:{port};", ("::1", port)):
        assert first_verdict(f"tcp://localhost:{port}")[0] == "ready"
        assert first_verdict(f"tcp://127.0.0.1:{port}") == ("unready", "connection refused")
    assert first_verdict(f"tcp://localhost:{port}") == ("unready", "connection refused")


def unix_until_gone():
    path = servers.folder() / "app.sock"
    with servers.haproxy(f"frontend app\n    bind unix@{path}\n    http-request return status 200\n", path) as server:
        with Drain("--until-unready", f"unix:{path}", "--period", "200ms", "--min", 0, "60s") as drain:
            drain.wait_for(r"is ready \(accepts connections\)")
            server.terminate()
            assert "drained after" in drain.end()[1], drain.log()
    assert first_verdict(f"unix:{path}")[0] == "unready"


class FullBacklog:
    """A Unix socket whose owner does not accept, full of connections."""

    def __enter__(self):
        self.path = servers.folder() / "full.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(1)
        self.waiting = []
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            try:
                connection.connect(str(self.path))
            except BlockingIOError:
                connection.close()
                return self
            self.waiting.append(connection)

    def __exit__(self, *_):
        for connection in self.waiting:
            connection.close()
        self.listener.close()


def full_backlog():
    with FullBacklog() as full:
        url = f"unix:{full.path}"
        with Drain("--until-unready", url, "--period", "200ms", "--timeout", "30s", "60s") as drain:
            drain.wait_for(r"is not known \(listen queue full\)")
            full.listener.accept()[0].close()
            drain.wait_for(r"is ready")


def full_backlog_http():
    with FullBacklog() as full:
        assert first_verdict(f"http://unix:{full.path}:/", timeout=30) == ("not known", "listen queue full")


def datagram_socket():
    path = servers.folder() / "datagram.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        assert first_verdict(f"unix:{path}")[0] == "unready"


def no_socket():
    path = servers.folder() / "file"
    path.write_text("")
    assert first_verdict(f"unix:{path}")[0] == "unready"
