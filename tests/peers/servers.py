"""Servers that others wrote, started for a row and stopped after it."""

import contextlib
import itertools
import os
import pathlib
import re
import socket
import subprocess
import time

from program import MOST_SECONDS
from room import certificate, folder  # which rows ask for here

# No other process has ports in this network namespace; clients' own begin at 32768.
PORTS = itertools.count(10_000)


def port():
    return next(PORTS)


def connect(place, timeout=10):
    """A connection to a port of 127.0.0.1, to (address, port), or to a Unix socket's path."""
    if isinstance(place, int):
        place = "127.0.0.1", place
    if isinstance(place, tuple):
        return socket.create_connection(place, timeout)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    connection.connect(str(place))
    return connection


def wait_for_client(address):
    """Wait until a client is connected to a port of 127.0.0.1."""
    _, number = place_of(address)
    established = re.compile(rf": \w+:\w+ \w+:{number:04X} 01 ")  # the client's end: proc_net_tcp in the kernel's documentation
    deadline = time.monotonic() + MOST_SECONDS
    while not established.search(pathlib.Path("/proc/thread-self/net/tcp").read_text()):
        assert time.monotonic() < deadline, "nobody is connected"
        time.sleep(0.01)


@contextlib.contextmanager
def running(*command, accepts):
    """A server, from when it accepts connections at `accepts`; it is killed at the end, unless it has gone."""
    log = folder() / "log"
    with log.open("wb") as output:
        server = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + MOST_SECONDS
        while True:
            try:
                with connect(accepts) as connection:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass  # until the server has closed it, so that rows which count connections do not count this one
                break
            except OSError as error:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not start: {error}\n{log.read_text()}") from error
                time.sleep(0.02)
        yield server
    finally:
        server.kill()
        server.wait()


def go(kind, address):
    return running(os.environ["PEERS_GOSERVER"], kind, address, accepts=place_of(address))


def python(kind, address):
    here = pathlib.Path(__file__).parent
    return running(os.environ["PEERS_PYTHON"], "-B", here / "pyserver.py", kind, address, accepts=place_of(address))


def node(kind, address):
    return running("node", f"{os.environ['PEERS_NODE']}/server.js", kind, address, accepts=place_of(address))


def place_of(address):
    host, colon, number = address.rpartition(":")
    return (host.strip("[]"), int(number)) if colon else address


def nginx(server, accepts, processes=""):
    """nginx with this `server` block."""
    home = folder()
    (home / "nginx.conf").write_text(f"""
        daemon off;
        pid {home}/pid;
        error_log stderr;
        user root;
        {processes or "master_process off;"}
        events {{ worker_connections 18000; }}
        http {{
            access_log off;
            client_body_temp_path {home}/body;
            proxy_temp_path {home}/proxy;
            keepalive_timeout 600s;
            client_header_timeout 600s;
            send_timeout 600s;
            server {{ {server} }}
        }}
    """)
    return running("nginx", "-e", "stderr", "-p", home, "-c", home / "nginx.conf", accepts=accepts)


def nginx_with_tls(port, options=""):
    home = certificate()
    certified = f"ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;"
    return nginx(f"listen 127.0.0.1:{port} ssl {options}; {certified}", port)


def haproxy(sections, accepts):
    """haproxy with these sections."""
    config = folder() / "haproxy.cfg"
    config.write_text(f"""
global
    maxconn 1000
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 600s
{sections}
""")
    return running("haproxy", "-db", "-f", config, accepts=accepts)


def envoy(config, accepts):
    """Envoy with this configuration."""
    binary = next(pathlib.Path(os.environ["PEERS_PYTHON"]).parent.parent.glob("lib/*/site-packages/envoy/_bin/envoy"))
    path = folder() / "envoy.yaml"
    path.write_text(config)
    return running(binary, "-c", path, "--disable-hot-restart", "--concurrency", 1, accepts=accepts)
