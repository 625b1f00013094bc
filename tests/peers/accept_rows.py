"""`tcp://` against TLS servers, and `unix:` against Unix sockets."""

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
    yield "unix, haproxy: ready until it has gone", unix_until_gone


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


def unix_until_gone():
    path = servers.folder() / "app.sock"
    with servers.haproxy(f"frontend app\n    bind unix@{path}\n    http-request return status 200\n", path) as server:
        with Drain("--until-unready", f"unix:{path}", "--period", "200ms", "--min", 0, "60s") as drain:
            drain.wait_for(r"is ready \(accepts connections\)")
            server.terminate()
            assert "drained after" in drain.end()[1], drain.log()
    assert first_verdict(f"unix:{path}")[0] == "unready"
