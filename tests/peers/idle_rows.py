"""`--until-idle` against servers whose clients keep their connections open."""

import contextlib
import errno
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
from functools import partial

import servers
from program import Drain

HERE = pathlib.Path(__file__).parent
UNPRIVILEGED = (
    "setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all",
    "--no-new-privs",
)
PERIOD = 0.2
THRESHOLD = 3
# What the rows allow a busy machine to take longer; never so long that a drain which is held would pass for one that ends.
SLACK = 12
# How late a row may notice that something has moved.
LATE = 0.3
DURATION = 40


def nginx(listen, host):
    return lambda port: servers.nginx(f"listen {listen.format(port)}; location / {{ return 200 ok; }}", (host, port))


def haproxy(bind, host):
    sections = "frontend app\n    bind {}\n    http-request return status 200 content-type text/plain string ok\n"
    return lambda port: servers.haproxy(sections.format(bind.format(port)), (host, port))


# How the server listens, and where its clients find it.
LISTENERS = [
    (f"{name}, {how}", server(listen, host), host)
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


def rows(_kubelet):
    for name, server, host in LISTENERS:
        yield f"idle, {name}: a silent pool", partial(silent_pool, server, host)
    for name, server, host in LISTENERS[0], LISTENERS[2], LISTENERS[5], LISTENERS[7]:
        yield f"idle, {name}: a request every second", partial(request_every_second, server, host)
    yield "idle, nginx: uid 65532 without capabilities", partial(silent_pool, *LISTENERS[0][1:], wrapper=UNPRIVILEGED)
    yield "idle: a connection that is being opened", being_opened
    for make, start in {"grpc-go": servers.go, "python3-grpcio": servers.python}.items():
        yield f"idle, {make}: a stream that speaks", partial(grpc_stream, start)
    for number in errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT:
        yield f"idle: seccomp refuses netlink with {errno.errorcode[number]}", partial(refused, number)


def rows_alone():
    """Rows that fill the kernel's table of connections: all namespaces share it, so that every other check walks it too."""
    yield "idle, nginx: 100,000 connections", many_connections


def idle(port, *options, minimum=0, idle_after=1, duration=DURATION, wrapper=()):
    return Drain(
        "--until-idle", port, "--idle-after", idle_after, "--period", PERIOD, "--threshold", THRESHOLD, "--min", minimum,
        *options, duration, wrapper=wrapper,
    )


class Client:
    """A connection that is kept open."""

    def __init__(self, host, port, receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect((host, port))

    def ask(self, path="/"):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def get(self, path="/"):
        self.ask(path)
        return self.read()

    def read(self):
        """Read an answer whose length is said; return when it had come."""
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.some()
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200"), head
        rest = int(re.search(rb"(?i)content-length: *(\d+)", head)[1]) - len(body)
        while rest > 0:
            rest -= len(self.some(rest))
        return time.monotonic()

    def some(self, most=65536):
        data = self.socket.recv(most)
        assert data, "the server has closed the connection"
        return data

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


def ends_once_silent(drain, last_moved, idle_after=1, verdicts=None):
    """The drain ends when nothing has moved for as long as it should be, and soon after that."""
    _, last = drain.end()
    ended = time.monotonic()
    assert "drained after" in last, drain.log()
    silent = ended - last_moved
    least = idle_after + (THRESHOLD - 1) * PERIOD - LATE
    assert least <= silent <= idle_after + SLACK, f"{silent:.3f} s of silence\n{drain.log()}"
    if verdicts:
        seen = [f"{verdict} ({detail})" for _, verdict, detail in drain.verdicts()]
        assert seen == verdicts, f"expected {verdicts}:\n{drain.log()}"


def silent_pool(server, host, wrapper=()):
    port = servers.port()
    with server(port), pool(10, host, port) as clients:
        last_moved = clients[-1].get()
        with idle(port, wrapper=wrapper) as drain:
            drain.wait_for(r"is idle \(")
            # That no connection is busy must not mean that the pool has gone.
            ends_once_silent(drain, last_moved)
        verdicts = [f"{verdict} ({detail})" for _, verdict, detail in drain.verdicts()]
        assert verdicts[-1] == "idle (10 open)" and re.fullmatch(r"busy \(\d+ of 10 connections\)", verdicts[0]), drain.log()
        for client in clients:
            client.get()


def request_every_second(server, host):
    port = servers.port()
    with server(port), pool(5, host, port) as clients:
        time.sleep(3.2)
        with idle(port, minimum=5, idle_after=3) as drain:
            drain.wait_for(r"is idle \(5 open\)")
            for _ in range(6):
                last_moved = clients[0].get()
                time.sleep(1)
            clients[3].close()
            clients[4].close()
            ends_once_silent(
                drain, last_moved, idle_after=3, verdicts=["idle (5 open)", "busy (1 of 5 connections)", "idle (3 open)"]
            )


def being_opened():
    """With TCP_DEFER_ACCEPT the kernel leaves a connection in SYN_RECV until the client says something."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
        port = listener.getsockname()[1]
        client = Client("127.0.0.1", port)
        with idle(port) as drain:
            time.sleep(3)
            client.socket.sendall(b"hello")
            server, _ = listener.accept()
            assert server.recv(5, socket.MSG_WAITALL) == b"hello"
            ends_once_silent(drain, time.monotonic(), verdicts=["busy (1 of 1 connections)", "idle (1 open)"])
        server.close()
        client.close()


def grpc_stream(start):
    port = servers.port()
    address = f"127.0.0.1:{port}"
    with start("grpc", address):
        client = subprocess.Popen(
            [os.environ["PEERS_PYTHON"], "-B", HERE / "grpc_stream.py", address, "5"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert client.stdout.readline() == "speaking\n"
            with idle(port) as drain:
                assert client.stdout.readline() == "silent\n"
                silent = time.monotonic()
                assert silent - drain.start > 3
                # The last message may have come as long before the end as the service waits between two.
                ends_once_silent(drain, silent - 0.3, verdicts=["busy (1 of 1 connections)", "idle (1 open)"])
        finally:
            client.kill()
            client.wait()


def refused(number):
    """The log says why: by the kernel's own number, whatever the words."""
    port = servers.port()
    wrapper = "/usr/bin/python3", "-B", str(HERE / "refuse_netlink.py"), str(number)
    with LISTENERS[0][1](port), idle(port, duration=2, wrapper=wrapper) as drain:
        drain.wait_for(rf"is not known \(.*\b{number}\)")
        took, last = drain.end()
    assert took >= 2 and "in full" in last, drain.log()


def many_connections():
    """Memory does not grow with them."""
    few, many = servers.port(), servers.port()
    block = "listen 127.0.0.1:{} backlog=4096; location / {{ return 200 ok; }}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(servers.nginx(block.format(few), few))
        stack.enter_context(servers.nginx(block.format(many), many, "worker_processes 16; worker_rlimit_nofile 19000;"))
        stack.enter_context(pool(10, "127.0.0.1", few))
        holders = [stack.enter_context(holding(f"127.0.0.{2 + n}", many, 12_500)) for n in range(8)]
        for holder in holders:
            assert holder.stdout.readline() == "open\n"
        drains = [stack.enter_context(idle(port, "--timeout", "10s", duration=600, minimum=600)) for port in (few, many)]
        drains[0].wait_for(r"is idle \(10 open\)")
        drains[1].wait_for(r"is idle \(100000 open\)", within=90)
        time.sleep(5 * PERIOD)
        peaks = [peak_memory(drain.process.pid) for drain in drains]
    assert peaks[1] <= peaks[0] + 16, f"{peaks[0]} kB with 10, {peaks[1]} kB with 100,000"


@contextlib.contextmanager
def holding(source, port, count):
    """A client of its own, since no process may have that many files open, and no address that many ports at hand."""
    command = [sys.executable, HERE / "hold.py", source, str(port), str(count)]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield client
    finally:
        client.kill()
        client.wait()


def peak_memory(pid):
    """The most address space that it ever had. What is resident has pages of the program's file in it, by chance of what ran."""
    return int(re.search(r"VmPeak:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
