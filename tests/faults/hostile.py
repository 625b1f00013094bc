"""Peers that mean harm, or are broken: what each kind of watch makes of them, and what they cost.

None of them may hold the drain, fill the memory or leave a descriptor open."""

import concurrent.futures
import contextlib
import functools
import pathlib
import socket
import statistics
import threading

from isolation import in_own_network
from peers import GRPC_PEERS, HTTP_PEERS, says
from program import EAGER, LATE, drain
from rows import row, run
from servers import Server, answer_http, free_path
from tables import NOT_KNOWN, READY, UNREADY

# The three standard ones, and one socket.
DESCRIPTORS_MAX = 4
# What a peer can make the program hold, 64 KiB and its copies, on top of its own 150 KiB.
MEMORY_MAX_KIB = 1024

WATCHED = {
    "http": (HTTP_PEERS, False, lambda server: f"http://127.0.0.1:{server.port}/a"),
    "http over unix": (HTTP_PEERS, True, lambda server: f"http://unix:{server.path}:/a"),
    "grpc": (GRPC_PEERS, False, lambda server: f"grpc://127.0.0.1:{server.port}"),
}

# No verdict ends such a drain: all of it must be seen.
WATCH = ("--period=20ms", "--threshold=1000")
DURATION = 1.0


def harmless(ended, duration=DURATION):
    """What no peer may change."""
    assert ended.status in (0, 1), ended
    assert ended.took >= duration, f"cut short: {ended}"
    assert duration <= ended.said <= duration + LATE, f"held: {ended}"
    assert 0 < ended.descriptors <= DESCRIPTORS_MAX, f"{ended.descriptors} descriptors: {ended}"
    assert 0 < ended.memory <= MEMORY_MAX_KIB, f"{ended.memory} KiB: {ended}"
    return ended


def verdicts(ended, name):
    """The verdicts that the log has on what is watched."""
    start = f"drain-sleep: {name} is "
    return {line.removeprefix(start).split(" (")[0] for line in ended.lines if line.startswith(start)}


def check(peer, unix, url):
    with Server(peer.answer, unix=unix) as server:
        timeout = "100ms" if peer.stalls else "1h"
        ended = harmless(drain(f"--until-unready={url(server)}", f"--timeout={timeout}", *WATCH, DURATION))
        assert verdicts(ended, url(server)) == {peer.verdict}, ended
        assert server.connections, "it never came"


def check_request(peer, method):
    with Server(peer.answer) as server:
        timeout = "100ms" if peer.stalls else "1h"
        harmless(drain(f"--{method}=http://127.0.0.1:{server.port}/a", f"--timeout={timeout}", DURATION))
        assert server.connections, "it never came"


for kind, (peers, unix, url) in WATCHED.items():
    for peer in peers:
        row(f"{kind}: {peer.name}")(functools.partial(check, peer, unix, url))
for method in ("get", "post"):
    for peer in HTTP_PEERS:
        row(f"--{method}: {peer.name}")(functools.partial(check_request, peer, method))


# localhost is 127.0.0.1 and, where nobody is reached there, ::1.


def localhost(verdict, why, *options, port=1000, **how):
    """Watch localhost so that any unready check ends the drain."""
    url = f"tcp://localhost:{port}"
    ended = drain(f"--until-unready={url}", *EAGER, "--period=50ms", *options, DURATION, **how)
    end = "drained after" if verdict == UNREADY else "slept"
    return ended.expect(rf"{url} is {verdict} \({why}", end, at_least=0 if verdict == UNREADY else DURATION)


@row("localhost: an app at ::1 alone, and no descriptor, memory or permission for the second socket")
def _():
    with Server(host="::1", backlog=4096) as server:
        localhost(READY, "accepts", port=server.port)
        for error in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES", "EPERM"):
            each_second = f"--inject=socket:error={error}:when=2+2"
            strace = ("strace", "-qq", f"--output={free_path()}", "--trace=socket", each_second)
            localhost(NOT_KNOWN, ".*errno", port=server.port, through=strace)


@row("localhost: an app at ::1 alone, and no port for the second socket")
@in_own_network
def _():
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40000")
    with Server(host="::1", port=1000):
        localhost(READY, "accepts")
    with Server(host="::1", port=1001), socket.create_connection(("::1", 1001)):
        localhost(NOT_KNOWN, "no free port", port=1001)


@row("localhost: 127.0.0.1 does not exist")
@in_own_network
def _():
    run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
    with Server(answer_http, host="::1", port=1000):
        drain("--until-unready=http://localhost:1000/", DURATION).expect(r"is ready \(200\)", at_least=DURATION)
        localhost(READY, "accepts")
    localhost(UNREADY, "connection refused")


@row("localhost: nobody listens at 127.0.0.1, and there is no ::1")
@in_own_network
def _():
    pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    localhost(UNREADY, "connection refused")
    no_ipv6 = ("strace", "-qq", f"--output={free_path()}", "--trace=socket", "--inject=socket:error=EAFNOSUPPORT:when=2+2")
    localhost(UNREADY, "connection refused", through=no_ipv6)
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


@row("--until-idle: clients that come and go without end")
def _():
    with Server(lambda talk: None) as server:

        def come_and_go():
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"x")

        with again_and_again(come_and_go), again_and_again(come_and_go):
            ended = harmless(drain(f"--until-idle={server.port}", "--idle-after=300ms", *WATCH, DURATION))
        assert "is busy" in ended.log, ended


@row("all kinds at once, each with a peer that says nothing")
def _():
    silent = functools.partial(Server, says(then="hold", asks=False))
    with silent() as tcp, silent(unix=True) as unix:
        urls = [f"{scheme}://127.0.0.1:{tcp.port}" for scheme in ("http", "grpc", "tcp")]
        urls += [f"http://unix:{unix.path}:/", f"unix:{unix.path}"]
        watches = [f"--until-unready={url}" for url in urls * 4]
        harmless(drain(*watches, f"--until-idle={tcp.port}", "--timeout=50ms", "--period=10ms", DURATION))


# How long past its DURATION a drain is held: measured before the other rows load the machine.

SHORT = 0.4


def measure_overruns():
    """Prints what it finds, and adds a row that judges it."""
    watched = [(kind, peer, unix, url) for kind, (peers, unix, url) in WATCHED.items() for peer in peers]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda each: run_beside(*each[1:]), watched))
    overruns = [run.said - SHORT for run in runs]
    print("overrun  peer, of those that are watched without a --timeout to speak of")
    worst = sorted(zip(overruns, watched, strict=True), key=lambda each: each[0], reverse=True)
    for seconds, (kind, peer, _, _) in worst[:10]:
        print(f"{seconds * 1000:4.0f} ms  {kind}: {peer.name}")
    print(f"{statistics.median(overruns) * 1000:4.0f} ms  median of {len(overruns)}")
    print(f"memory at most {max(run.memory for run in runs)} KiB, descriptors {max(run.descriptors for run in runs)}", flush=True)

    @row("no peer holds the drain past its DURATION")
    def _():
        assert worst[0][0] < LATE, worst[0]


def run_beside(peer, unix, url):
    with Server(peer.answer, unix=unix) as server:
        return drain(f"--until-unready={url(server)}", "--timeout=1h", "--period=10ms", SHORT)
