"""Peers that mean harm, or are broken: what each kind of watch makes of them, and what they cost.

None of them may hold the drain, fill the memory or leave a descriptor open."""

import contextlib
import pathlib
import socket
import threading

import pytest
from answers import LATE, free_path, strace
from hostile_peers import GRPC_PEERS, HTTP_PEERS, says
from program import EAGER, drain
from room import run
from serving import HOLD, Server, http
from tables import NOT_KNOWN, READY, UNREADY

# The three standard ones, and one socket.
DESCRIPTORS_MAX = 4
# What a peer can make the program hold, 64 KiB and its copies, on top of its own 150 KiB.
MEMORY_MAX_KIB = 1024

# No verdict ends such a drain: all of it must be seen.
WATCH = ("--period=20ms", "--threshold=1000")
DURATION = 1.0


def harmless(ended):
    """What no peer may change."""
    assert ended.status in (0, 1), str(ended)
    assert ended.took >= DURATION, f"cut short: {ended}"
    assert DURATION <= ended.said <= DURATION + LATE, f"held: {ended}"
    assert 0 < ended.descriptors <= DESCRIPTORS_MAX, f"{ended.descriptors} descriptors: {ended}"
    assert 0 < ended.memory <= MEMORY_MAX_KIB, f"{ended.memory} KiB: {ended}"
    return ended


def check(peer, url, path=None):
    with Server(peer.answer, path=path) as server:
        url = url.format(server)
        timeout = "100ms" if peer.stalls else "1h"
        for _ in range(5):
            ended = harmless(drain(f"--until-unready={url}", f"--timeout={timeout}", *WATCH, DURATION))
            if ended.verdicts:
                break  # a machine so busy that no check has ended says nothing
        assert {verdict.split(" (")[0] for verdict in ended.verdicts} == {peer.verdict}, str(ended)
        assert server.connections, "it never came"


@pytest.mark.parametrize("peer", HTTP_PEERS)
def test_http(peer):
    check(peer, "http://127.0.0.1:{0.port}/a")


@pytest.mark.parametrize("peer", HTTP_PEERS)
def test_http_over_unix(peer):
    check(peer, "http://unix:{0.path}:/a", path=free_path())


@pytest.mark.parametrize("peer", GRPC_PEERS)
def test_grpc(peer):
    check(peer, "grpc://127.0.0.1:{0.port}")


@pytest.mark.parametrize("peer", HTTP_PEERS)
def test_get(peer):
    with Server(peer.answer) as server:
        timeout = "100ms" if peer.stalls else "1h"
        harmless(drain(f"--get=http://127.0.0.1:{server.port}/a", f"--timeout={timeout}", DURATION))
        assert server.connections, "it never came"


# localhost is 127.0.0.1 and, where nobody is reached there, ::1.


def localhost(verdict, why, *options, port=1000, **how):
    """Watch localhost so that any unready check ends the drain."""
    url = f"tcp://localhost:{port}"
    ended = drain(f"--until-unready={url}", *EAGER, "--period=50ms", *options, DURATION, **how)
    end = "drained after" if verdict == UNREADY else "slept"
    return ended.expect(rf"{url} is {verdict} \({why}", end, at_least=0 if verdict == UNREADY else DURATION)


@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES", "EPERM"])
def test_localhost_at_ipv6_alone_and_the_second_socket_fails(error):
    each_second = f"--inject=socket:error={error}:when=2+2"
    with Server(host="::1", backlog=4096) as server:
        localhost(READY, "accepts", port=server.port)
        localhost(NOT_KNOWN, ".*errno", port=server.port, through=strace("--trace=socket", each_second))


def test_localhost_at_ipv6_alone_and_no_port_for_the_second_socket(own_network):
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40000")
    with Server(host="::1", port=1000):
        localhost(READY, "accepts")
    with Server(host="::1", port=1001), socket.create_connection(("::1", 1001)):
        localhost(NOT_KNOWN, "no free port", port=1001)


def test_localhost_without_127_0_0_1(own_network):
    run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
    with Server(http(), host="::1", port=1000):
        drain("--until-unready=http://localhost:1000/", 3).expect(r"is ready \(200\)", at_least=3)
        localhost(READY, "accepts")
    localhost(UNREADY, "connection refused")


def test_localhost_without_ipv6(own_network):
    pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    localhost(UNREADY, "connection refused")
    no_family = strace("--trace=socket", "--inject=socket:error=EAFNOSUPPORT:when=2+2")
    localhost(UNREADY, "connection refused", through=no_family)
    run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
    localhost(NOT_KNOWN, "unreachable")


@contextlib.contextmanager
def again_and_again(act):
    """Act in another thread, until the block ends."""
    over = threading.Event()

    def run():
        while not over.is_set():
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_clients_that_come_and_go_without_end():
    with Server(lambda talk: None) as server:

        def come_and_go():
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"x")

        with again_and_again(come_and_go), again_and_again(come_and_go):
            ended = harmless(drain(f"--until-idle={server.port}", "--idle-after=300ms", *WATCH, DURATION))
        assert "is busy" in ended.log, str(ended)


def test_all_kinds_at_once_each_with_a_peer_that_says_nothing():
    silent = says(HOLD, asks=False)
    with Server(silent) as tcp, Server(silent, path=free_path()) as unix:
        urls = [f"{scheme}://127.0.0.1:{tcp.port}" for scheme in ("http", "grpc", "tcp")]
        urls += [f"http://unix:{unix.path}:/", f"unix:{unix.path}"]
        watches = [f"--until-unready={url}" for url in urls * 4]
        harmless(drain(*watches, f"--until-idle={tcp.port}", "--timeout=50ms", "--period=10ms", DURATION))
