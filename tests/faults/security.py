"""What a reviewer would ask: whom it talks to, what it opens, what others can make it say."""

import contextlib
import os
import re

from peers import says
from program import PROGRAM, drain
from rows import row
from servers import Server, answer_grpc, answer_http, free_path, http

ELSEWHERE = "127.0.0.2"


def traced(*arguments, calls, strace=("--follow-forks",), **options):
    """Run it, and return how it ended and the lines of strace that tell of these calls."""
    trace = free_path()
    through = ("strace", "-qq", f"--output={trace}", f"--trace={calls}", *strace)
    ended = drain(*arguments, through=through, **options)
    with open(trace) as file:
        lines = file.read().splitlines()
    return ended, [line for line in lines if f'execve("{PROGRAM}"' not in line]  # strace's own


def everything(http_url, grpc_url, unix_url):
    return (
        *(f"--until-unready={url}" for url in (http_url, grpc_url, unix_url)),
        *("--until-idle=80", f"--get={http_url}", f"--post={http_url}", "--period=50ms", 0.3),
    )


@contextlib.contextmanager
def servers():
    with Server(answer_http) as http_server, Server(answer_grpc) as grpc_server, Server(answer_http, unix=True) as unix_server:
        yield http_server, grpc_server, unix_server


# Whom it talks to.


@row("no name is resolved, and only what is named is opened, connected to and started")
def _():
    path = free_path()
    with servers() as (a, b, c):
        line = everything(f"http://localhost:{a.port}/", f"grpc://localhost:{b.port}", f"http://unix:{c.path}:/")
        ended, lines = traced(*line, f"--log-file={path}", calls="%file,%process,%network")
    ended.expect(at_least=0.3)
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


@row("a name is a mistake, and is not looked up")
def _():
    for url in ("http://example.com/", "tcp://kubernetes.default:443", "grpc://localhost.localdomain:1", "http://0x7f.1/"):
        ended, lines = traced(f"--until-unready={url}", 0.2, calls="%file,%network")
        ended.expect("error: ", status=2, at_least=0.2)
        assert not lines, lines


@row("proxy variables are ignored")
def _():
    with Server(answer_http) as server, Server(answer_http) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "grpc_proxy", "GRPC_PROXY")
        watched = f"--until-unready=http://127.0.0.1:{server.port}/"
        drain(watched, 0.2, env=dict.fromkeys(names, url)).expect("is ready", at_least=0.2)
        assert server.connections and not proxy.connections


@row("a redirect leads to no other host, whatever it looks like")
def _():
    for location in (
        "http://{elsewhere}/",
        "//{elsewhere}/",
        "http://127.0.0.1@{elsewhere}/",
        "http://127.0.0.1:{port}@{elsewhere}/",
        "http://[::ffff:{host}]:{other}/",
        "http://2130706434:{other}/",  # 127.0.0.2
        "http://0x7f000002:{other}/",
        "http://127.0.0.2.:{other}/",
        "http://127.0.0.1%00@{elsewhere}/",
        "http:\\\\{elsewhere}\\",
        "/\\{elsewhere}/",
        "http:{elsewhere}/",
        "HTTP://{elsewhere}/",
        "ftp://{elsewhere}/",
        "gopher://127.0.0.1:{other}/",
    ):
        with Server(answer_http, host=ELSEWHERE) as other:
            filled = location.format(elsewhere=f"{ELSEWHERE}:{other.port}", host=ELSEWHERE, other=other.port, port=other.port)

            def answer(talk, filled=filled):
                first = talk.request().startswith(b"GET / ")
                talk.say(http(302, Location=filled) if first else http(200))
                talk.end()

            with Server(answer) as server:
                line = (f"--get=http://127.0.0.1:{server.port}/", f"--until-unready=http://127.0.0.1:{server.port}/", 0.15)
                ended, lines = traced(*line, calls="connect")
            assert ended.took >= 0.15 and server.connections, ended
            assert not other.connections, f"{location}: {lines}"
            for line in lines:
                assert "127.0.0.1" in line and f"htons({server.port})" in line, f"{location}: {line}"


# What others can make it say.


def requests(*arguments, location=None, env=None):
    """The requests that a server gets, one of which it has answered with a redirect."""

    def answer(talk):
        first = talk.request().startswith(b"GET /start ")
        talk.say(b"HTTP/1.1 302 x\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n" if location and first else http())
        talk.end()

    with Server(answer) as server:
        line = [argument.format(port=server.port) for argument in arguments]
        ended = drain(*line, 0.2, env=os.environ | (env or {}))
        return ended, server.requests


@row("nothing is injected into a request by way of $(VAR)")
def _():
    for value in ("x\r\nInjected: 1", "x\nInjected: 1", "x\rInjected: 1", "x\0y", "x y\r\n\r\nGET /injected HTTP/1.1"):
        environment = {"A": value} if "\0" not in value else {"A": value.replace("\0", "\x01")}
        for line in (
            ["--get=http://127.0.0.1:{port}/$(A)"],
            ["--get=http://127.0.0.1:{port}/", "--header=X: $(A)"],
            ["--get=http://127.0.0.1:{port}/", "--header=$(A): x"],
            ["--get=http://127.0.0.1:{port}/", "--header=Host: $(A)"],
        ):
            ended, sent = requests(*line, env=environment)
            ended.expect("error: ", status=2, at_least=0.2)
            assert not sent and len(ended.lines) == 3, (sent, ended)


@row("what a variable holds is not expanded again, and opens no option")
def _():
    ended, sent = requests("--get=http://127.0.0.1:{port}/$(A)", env={"A": "$(B)--help", "B": "x"})
    ended.expect(status=0, at_least=0.2)
    assert sent[0].startswith(b"GET /$(B)--help HTTP/1.1\r\n"), sent


@row("nothing is injected into a request by way of a Location")
def _():
    for location, target in (
        (b"/%0d%0aInjected:%201", b"/%0d%0aInjected:%201"),
        (b"/a b", b"/a%20b"),
        (b"/a\tb", None),
        (b"/a\rInjected: 1", None),
        (b"/a\x00b", None),
        (b"/\xe2\x80\xa8\xff", b"/%E2%80%A8%FF"),
        (b"/x HTTP/1.1", b"/x%20HTTP/1.1"),
        (b"/a\r\n Injected: 1", None),
        (b"http://127.0.0.1:{port}\r\n/", None),
        (b"http://user:pass%0d%0a@127.0.0.1:@PORT@/a", b"/a"),
    ):
        with Server(answer_http) as server:
            filled = location.replace(b"@PORT@", b"%d" % server.port)
            ended, sent = requests("--get=http://127.0.0.1:{port}/start", location=filled)
            sent += server.requests
        assert ended.took >= 0.2, ended
        for request in sent:
            head, fields = request.removesuffix(b"\r\n\r\n").split(b"\r\n", 1)
            names = [field.split(b":")[0] for field in fields.split(b"\r\n")]
            assert names == [b"Host", b"Connection", b"User-Agent", b"Accept"], request
            assert re.fullmatch(rb"GET [!-~]+ HTTP/1\.1", head) and b"\n" not in fields.replace(b"\r\n", b""), request
        targets = [request.split(b" ")[1] for request in sent[1:]]
        assert target is None or targets == [target], f"{location}: {sent}"


@row("the log cannot be forged by what a server says")
def _():
    forged = b"\x1b[2J\ndrain-sleep: forged\r\x07\xff"
    evil = forged.replace(b"\n", b"")
    heads = [
        b"HTTP/1.1 503 " + evil + b"\r\n\r\n",
        b"HTTP/1.1 " + evil + b"\r\n\r\n",
        evil * 100,
        forged * 100,
        b"HTTP/1.1 302 x\r\nLocation: ftp://127.0.0.1/" + evil + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: http://[" + evil + b"]/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + evil + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + evil + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + evil + b": x\r\n\r\n",
    ]
    for head in heads:
        with Server(says(head, asks=False)) as server:
            watched = [f"--until-unready={scheme}://127.0.0.1:{server.port}" for scheme in ("http", "grpc")]
            printable(drain(*watched, f"--get=http://127.0.0.1:{server.port}", 0.1))


@row("the log cannot be forged by what the command line and the environment say")
def _():
    for evil in ("x\ndrain-sleep: forged", "x\r\x1b[2Jx", b"x\xff\xfe\x9b", "\u2028\u202e"):
        text = os.fsdecode(evil)
        for line in (
            [text],
            [f"--{text}"],
            [f"--min={text}"],
            [f"--until-unready={text}"],
            [f"--until-unready=http://{text}/"],
            [f"--header={text}"],
            [f"--log-file=/no/{text}"],
            [f"$({text})"],
            ["$(A)"],
            ["--until-unready=unix:/no/$(A)"],
        ):
            printable(drain(*line, 0.1, env=os.environ | {"A": text}))


def printable(ended):
    raw = ended.log.encode()
    assert ended.took >= 0.1 and ended.lines, ended
    assert re.fullmatch(rb"(drain-sleep: [ -~]{,1010}\n)+", raw), raw
    assert not any(line.startswith("drain-sleep: forged") for line in ended.lines), ended
