"""What a reviewer would ask: whom it talks to, and what it opens."""

import re

import pytest
from answers import LONG, free_path, one_of_each, strace
from program import drain
from serving import Server, by_path, http

ELSEWHERE = "127.0.0.2"


def traced(*arguments, calls, options=("--follow-forks",)):
    """Run it, and return how it ended and the lines of strace that tell of these calls."""
    trace = free_path()
    ended = drain(*arguments, through=strace(f"--trace={calls}", *options, trace=trace))
    lines = trace.read_text().splitlines()
    return ended, [line for line in lines if f'execve("{ended.process.args[-1 - len(arguments)]}"' not in line]  # strace's own


def everything(http_url, grpc_url, unix_url):
    return (
        *(f"--until-unready={url}" for url in (http_url, grpc_url, unix_url)),
        *("--until-idle=80", f"--get={http_url}", f"--post={http_url}", "--period=50ms", "--timeout=60", LONG),
    )


def test_no_name_is_resolved_and_only_what_is_named_is_opened_connected_to_and_started():
    path = free_path()
    with one_of_each() as (a, b, c):
        line = everything(f"http://localhost:{a.port}/", f"grpc://localhost:{b.port}", f"http://unix:{c.path}:/")
        ended, lines = traced(*line, f"--log-file={path}", calls="%file,%process,%network")
    ended.expect(at_least=LONG)
    opened = [line for line in lines if re.search(r"\b(open|openat|stat|readlink|access)\(", line)]
    # Once as it is, and once to create it.
    assert len(opened) == 2 and all(f'"{path}"' in line for line in opened), opened
    connected = [line for line in lines if "connect(" in line]
    for line in connected:
        assert f"htons({a.port})" in line or f"htons({b.port})" in line or f'"{c.path}"' in line, line
        assert "127.0.0.1" in line or "AF_UNIX" in line, line
    assert len(connected) > 10, connected
    rest = (line for line in lines if line not in opened and line not in connected and "resumed>" not in line)
    left = {re.search(r"(\w+)\(", line)[1] for line in rest}
    # The one child looks first whether the kernel lists connections.
    assert left <= {"arch_prctl", "socket", "getpeername", "getsockname", "fork", "wait4", "exit_group"}, left
    domains = {re.search(r"socket\((\w+), [^,]*, (\w+)", line).groups() for line in lines if "socket(" in line}
    assert domains == {("AF_INET", "IPPROTO_IP"), ("AF_UNIX", "0"), ("AF_NETLINK", "NETLINK_SOCK_DIAG")}, domains


@pytest.mark.parametrize("url", [
    "http://example.com/",
    "tcp://kubernetes.default:443",
    "grpc://localhost.localdomain:1",
    "http://0x7f.1/",
])
def test_a_name_is_a_mistake_and_is_not_looked_up(url):
    ended, lines = traced(f"--until-unready={url}", 0.2, calls="%file,%network")
    ended.expect("error: ", status=2, at_least=0.2)
    assert not lines, lines


@pytest.mark.parametrize("location", [
    "http://{elsewhere}/",
    "//{elsewhere}/",
    "http://127.0.0.1@{elsewhere}/",
    "http://127.0.0.1:{port}@{elsewhere}/",
    "http://[::ffff:{host}]:{port}/",
    "http://2130706434:{port}/",  # 127.0.0.2
    "http://0x7f000002:{port}/",
    "http://127.0.0.2.:{port}/",
    "http://127.0.0.1%00@{elsewhere}/",
    "http:\\\\{elsewhere}\\",
    "/\\{elsewhere}/",
    "http:{elsewhere}/",
    "HTTP://{elsewhere}/",
    "ftp://{elsewhere}/",
    "gopher://127.0.0.1:{port}/",
])
def test_a_redirect_leads_to_no_other_host(location):
    with Server(http(), host=ELSEWHERE) as other:
        filled = location.format(elsewhere=f"{ELSEWHERE}:{other.port}", host=ELSEWHERE, port=other.port)
        with Server(by_path({"/": http(302, Location=filled)})) as server:
            line = (f"--get=http://127.0.0.1:{server.port}/", f"--until-unready=http://127.0.0.1:{server.port}/", LONG)
            ended, lines = traced(*line, calls="connect")
        assert ended.took >= LONG and server.connections, str(ended)
        assert not other.connections, lines
        for line in lines:
            assert "127.0.0.1" in line and f"htons({server.port})" in line, line
