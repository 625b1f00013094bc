"""System calls that hang, and hear no signal but a fatal one: the kernel ends a drain a second after its DURATION."""

import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest
from program import drain
from room import row


@pytest.fixture
def gone(tmp_path):
    """A mounted file system whose server answers no more."""
    source, mount = tmp_path / "source", tmp_path / "mount"
    source.mkdir()
    mount.mkdir()
    server = subprocess.Popen(["bindfs", "-f", source, mount])
    while not os.path.ismount(mount):
        assert server.poll() is None, "bindfs has ended"
        time.sleep(0.01)
    server.send_signal(signal.SIGSTOP)
    # A thread that still took a request, and did not answer it, would hold off even SIGKILL.
    threads = pathlib.Path(f"/proc/{server.pid}/task")
    while any(") T " not in (thread / "stat").read_text() for thread in threads.iterdir()):
        time.sleep(0.01)
    too_late = threading.Timer(60, server.kill)  # then the row fails, and does not wait for ever
    too_late.start()
    yield mount
    too_late.cancel()
    server.kill()  # all that waits for it is told that it has gone
    server.wait()
    subprocess.run(["umount", "--lazy", mount], check=True)


@pytest.mark.parametrize("arguments", [
    row("the log file", "--log-file={}/log"),
    row("a Unix socket", "--until-unready=unix:{}/socket"),
    row("a Unix socket that is asked by HTTP", "--until-unready=http://unix:{}/socket:/"),
    row("the log file, and a mistake", "--log-file={}/log --bogus"),
])
def test_on_a_file_system_whose_server_is_gone(gone, arguments):
    drain(2, *arguments.format(gone).split()).expect(status=-signal.SIGALRM, at_least=3)
