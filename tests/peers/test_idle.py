"""`--until-idle` against servers whose clients keep their connections open."""

import contextlib
import http.client
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest
import servers
from program import Drain
from room import row

UNPRIVILEGED = (
    *("setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"),
    "--no-new-privs",
)
PERIOD = 0.2
THRESHOLD = 3
# What the rows allow a busy machine to take longer; never so long that a drain which is held would pass for one that ends.
SLACK = 12
# The kernel tells the time in steps.
TICK = 0.02
DURATION = 40


def nginx(listen, host):
    return lambda port: servers.nginx(f"listen {listen.format(port)}; location / {{ return 200 ok; }}", (host, port))


def haproxy(bind, host):
    sections = "frontend app\n    bind {}\n    http-request return status 200 content-type text/plain string ok\n"
    return lambda port: servers.haproxy(sections.format(bind.format(port)), (host, port))


# How the server listens, and where its clients find it.
LISTENERS = [
    row(f"{name}, {how}", server(listen, host), host)
    for name, server, how, listen, host in [
        ("nginx", nginx, "IPv4", "127.0.0.1:{}", "127.0.0.1"),
        ("nginx", nginx, "IPv6", "[::1]:{}", "::1"),
        ("nginx", nginx, "dual-stack, over IPv4", "[::]:{} ipv6only=off", "127.0.0.1"),
        ("nginx", nginx, "dual-stack, over IPv6", "[::]:{} ipv6only=off", "::1"),
        ("haproxy", haproxy, "IPv4", "127.0.0.1:{}", "127.0.0.1"),
        ("haproxy", haproxy, "IPv6", "[::1]:{} v6only", "::1"),
        ("haproxy", haproxy, "dual-stack, over IPv4", ":::{} v4v6", "127.0.0.1"),
        ("haproxy", haproxy, "dual-stack, over IPv6", ":::{} v4v6", "::1"),
    ]
]


def idle(port, minimum=0, idle_after=1, through=()):
    options = ("--idle-after", idle_after, "--period", PERIOD, "--threshold", THRESHOLD, "--min", minimum)
    return Drain("--until-idle", port, *options, DURATION, through=through)


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """A connection that is kept open."""

    def __init__(self, host, port):
        self.socket = servers.connect((host, port), timeout=30)
        self.sent = 0  # bytes of a request that has begun

    def begin(self):
        """Ask, but for the end of the request. No answer comes before that."""
        self.socket.sendall(REQUEST[:-1])
        self.sent = len(REQUEST) - 1

    def get(self):
        """Ask, or end what has begun, and read the answer; return a time before anything has moved."""
        before = time.monotonic()
        self.socket.sendall(REQUEST[self.sent :])
        self.sent = 0
        with http.client.HTTPResponse(self.socket) as answer:
            answer.begin()
            assert answer.status == 200 and answer.read()
        return before

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def pool(size, host, port):
    """Clients each of which has had an answer."""
    clients = [Client(host, port) for _ in range(size)]
    for client in clients:
        client.get()
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def ends_once_silent(drain, last_moved, idle_after=1, verdicts=".*"):
    """The drain ends when nothing has moved for as long as it should be, and soon after that."""
    drain.expect("drained after")
    silent = drain.start + drain.took - last_moved
    least = idle_after + (THRESHOLD - 1) * PERIOD - TICK
    assert least <= silent <= idle_after + SLACK, f"{silent:.3f} s of silence\n{drain}"
    assert re.fullmatch(verdicts, ", ".join(drain.verdicts)), str(drain)


@pytest.mark.parametrize("server, host", LISTENERS)
def test_silent_pool(server, host, through=()):
    port = servers.port()
    with server(port), pool(10, host, port) as clients:
        time.sleep(0.1)  # or the request may be taken for answered, by the answer before it
        clients[-1].begin()  # so that the first look finds it busy, however late it comes
        with idle(port, through=through) as drain:
            drain.wait_for(r"is busy \(")
            last_moved = clients[-1].get()
            drain.wait_for(r"is idle \(")
            # That no connection is busy must not mean that the pool has gone.
            ends_once_silent(drain, last_moved)
        first, *_, last = drain.verdicts
        assert last == "idle (10 open)" and re.fullmatch(r"busy \(\d+ of 10 connections: .*\)", first), str(drain)
        for client in clients:
            client.get()


def test_silent_pool_as_uid_65532_without_capabilities():
    test_silent_pool(*LISTENERS[0].values, through=UNPRIVILEGED)


@pytest.mark.parametrize("server, host", [LISTENERS[number] for number in (0, 2, 5, 7)])
def test_a_request_every_second(server, host):
    port = servers.port()
    with server(port), pool(5, host, port) as clients:
        time.sleep(3.2)
        with idle(port, minimum=5, idle_after=3) as drain:
            drain.wait_for(r"is idle \(5 open\)")
            for _ in range(5):
                clients[0].get()
                time.sleep(1)
            clients[3].close()
            clients[4].close()
            last_moved = clients[0].get()
            # Moving, if no byte is on its way.
            verdicts = r"idle \(5 open\), busy \(1 of 5 connections: [a-z ]+\), idle \(3 open\)"
            ends_once_silent(drain, last_moved, idle_after=3, verdicts=verdicts)


def test_a_connection_that_is_being_opened():
    """With TCP_DEFER_ACCEPT the kernel leaves a connection in SYN_RECV until the client says something."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
        port = listener.getsockname()[1]
        client = servers.connect(port)
        with idle(port) as drain:
            time.sleep(3)
            client.sendall(b"hello")
            server, _ = listener.accept()
            assert server.recv(5, socket.MSG_WAITALL) == b"hello"
            time.sleep(0.1)
            last_moved = time.monotonic()
            server.sendall(b"hello to you")
            client.recv(100)
            verdicts = r"busy \(1 of 1 connections: opening\), idle \(1 open\)"
            ends_once_silent(drain, last_moved, verdicts=verdicts)
        server.close()
        client.close()


@pytest.mark.parametrize("start", [row("grpc-go", servers.go), row("python3-grpcio", servers.python)])
def test_a_grpc_stream_that_speaks(start):
    port = servers.port()
    address = f"127.0.0.1:{port}"
    here = pathlib.Path(__file__).parent
    command = [os.environ["PEERS_PYTHON"], "-B", here / "grpc_stream.py", address]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start("grpc", address), subprocess.Popen(command, text=True, **pipes) as client:
        try:
            assert client.stdout.readline() == "speaking\n"
            with idle(port, idle_after=3) as drain:
                drain.wait_for(r"is busy \(")
                time.sleep(4)
                client.stdin.close()
                word, last_moved = client.stdout.readline().split()
                assert word == "silent"
                verdicts = r"busy \(1 of 1 .*\), idle \(1 open\)"
                ends_once_silent(drain, float(last_moved), idle_after=3, verdicts=verdicts)
        finally:
            client.kill()
