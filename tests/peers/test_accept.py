"""`tcp://` against TLS servers, and `unix:` against Unix sockets."""

import time

import pytest
import servers
from program import Drain, first_verdict

QUICK = ("--period", "200ms", "--min", 0, "60s")


def openssl(port):
    home = servers.certificate()
    return servers.running(
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", home / "cert.pem", "-key", home / "key.pem", "-www",
        accepts=port,
    )


def haproxy(port):
    home = servers.certificate()
    (home / "both.pem").write_bytes((home / "cert.pem").read_bytes() + (home / "key.pem").read_bytes())
    return servers.haproxy(
        f"frontend app\n    bind 127.0.0.1:{port} ssl crt {home}/both.pem\n    http-request return status 200\n", port
    )


@pytest.mark.parametrize("start", [openssl, servers.nginx_with_tls, haproxy])
def test_tls_is_ready_until_it_has_gone(kubelet, start):
    port = servers.port()
    url = f"tcp://127.0.0.1:{port}"
    with start(port) as server:
        assert kubelet.probe(url)[0] == "ready"
        with Drain("--until-unready", url, *QUICK) as drain:
            drain.wait_for(r"is ready \(accepts connections\)")
            time.sleep(1)
            assert drain.process.poll() is None, str(drain)
            before = time.monotonic()
            server.terminate()
            server.wait(20)
            drain.expect("drained after", at_least=before - drain.start)
    assert [verdict.split()[0] for verdict in drain.verdicts] == ["ready", "unready"], str(drain)
    assert kubelet.probe(url, expected="unready")[0] == "unready"


def test_unix_is_ready_until_it_has_gone():
    path = servers.folder() / "app.sock"
    with servers.haproxy(f"frontend app\n    bind unix@{path}\n    http-request return status 200\n", path) as server:
        with Drain("--until-unready", f"unix:{path}", *QUICK) as drain:
            drain.wait_for(r"is ready \(accepts connections\)")
            server.terminate()
            drain.expect("drained after")
    assert first_verdict(f"unix:{path}")[0] == "unready"
