"""Drains servers that people run, under the loads that they have."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import isolation
import pytest
from program import Drain
from room import row
from servers import CHANCE, HELD, LATER, PORT, SERVERS, UNSEEN

POD, OUTSIDE = "192.0.2.1", "192.0.2.2"  # addresses for documentation (RFC 5737): nothing real has them
DURATION = 25  # seconds; more than any load, and what may come after it
MIN = 5  # the program's own default
LATE = 7  # the most seconds that a drain may outlast its load
BUSY = 3  # seconds more in the short form, which runs beside other tests
SILENCE = 5  # seconds of it that all but the silent clients need first
LATER_BY = 5  # seconds more, where a row says so


@pytest.mark.parametrize("server, load", [
    row(f"{server.name} {load}", server, load, marks=[pytest.mark.short] * server.is_short)
    for server in SERVERS
    for load, drain in server.loads.items()
    if drain
])
def test_drain(server, load, tmp_path, record_property, pytestconfig):
    expected = server.loads[load]
    hook, client = measure(server, load, tmp_path, "--until-idle", server.watched, DURATION)
    assert hook.said, hook
    lasted, failed = client["ended"] - hook.start, client["failed"]
    record_property("measured", (server.name, load, expected, hook.said))
    what = f"the load lasted {lasted:.1f} s, {failed} requests failed\n{client['logs']}\n{hook}"
    # A check takes a millisecond. Where one has timed out, the machine is too busy for an upper bound.
    has_bound = load not in ("slow", "behind") and "timed out" not in hook.log
    late = LATE + BUSY * (pytestconfig.option.markexpr == "short") + LATER_BY * (expected == LATER) if has_bound else DURATION
    if expected == HELD:
        assert "in full" in hook.log, what
    elif expected == UNSEEN:
        idle = re.search(r"is idle .* at ([\d.]+)s", hook.log)
        assert idle and float(idle[1]) < lasted, what
    elif expected == CHANCE:
        assert MIN <= hook.said <= lasted + late, what
    elif load == "silent":
        assert MIN <= hook.said <= MIN + late - SILENCE, what
    else:
        assert lasted <= hook.said <= lasted + late, what
    if failed and expected not in (UNSEEN, CHANCE):
        _, slept = measure(server, load, tmp_path, DURATION, program="sleep")
        assert failed <= slept["failed"], f"{slept['failed']} failed with a plain sleep of {DURATION} s\n{what}"


def measure(server, load, folder, *hook, **options):
    """Run a hook, then end the server, as the kubelet does. Returns the hook, and what the client says when the load is over."""
    home = pathlib.Path(tempfile.mkdtemp(dir=folder))
    home.chmod(0o777)  # some servers drop their privileges
    for name, text in server.files.items():
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    with pod_network() as outside, contextlib.ExitStack() as stack:
        if server.beside:
            stack.enter_context(running(server.beside, home))
        app = stack.enter_context(running(server.command, home))
        if server.router:
            stack.enter_context(running(server.router, home, outside))
        host = "127.0.0.1" if server.router else POD
        command = f"exec $PYTHON -B $HERE/client.py {server.protocol} {host} {PORT} {load}"
        client = stack.enter_context(running(command, home, outside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert client.stdout.readline() == "ready\n", logs(home)
        with Drain(*hook, **options) as drain:
            drain.expect()
        app.terminate()
        said = json.loads(client.communicate()[0])
        return drain, said | {"logs": logs(home)}


@contextlib.contextmanager
def running(command, home, through=(), **options):
    """A shell's command, which is killed at the end with all that it has started."""
    environment = os.environ | {"HOME": str(home)}
    with tempfile.NamedTemporaryFile(dir=home, suffix=".log", delete=False) as log:
        options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log} | options
        process = subprocess.Popen([*through, "sh", "-c", command], cwd=home, env=environment, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def logs(home):
    return "\n".join(log.read_text()[-1000:] for log in home.glob("*.log"))


@contextlib.contextmanager
def pod_network():
    """Go on in a network of the row's own, the pod's. Yields a command that runs another one outside it, where the clients are."""
    with isolation.own_network(), open("/proc/thread-self/ns/net") as outside, isolation.own_network():
        path = f"/proc/{os.getpid()}/fd/{outside.fileno()}"
        ip(f"link add eth0 type veth peer name eth0 netns {path}")
        through = ["nsenter", f"--net={path}"]
        for address, command in (POD, []), (OUTSIDE, through):
            ip(f"address add {address}/24 dev eth0", command)
            ip("link set eth0 up", command)
        yield through


def ip(arguments, through=()):
    subprocess.run([*through, "ip", *arguments.split()], check=True)
