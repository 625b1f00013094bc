"""What a long drain holds."""

import contextlib
import os
import time

from program import Drain, memory_of
from serving import Server, http


def test_100_000_checks_take_no_more_memory_and_no_more_descriptors_than_the_first_of_them():
    samples = []
    absent = ["http://127.0.0.1:1/", "unix:/none", "tcp://[::1]:1", "grpc://127.0.0.1:1"]
    with Server(http(503)) as server:
        urls = 45 * absent + 20 * [f"http://127.0.0.1:{server.port}/"]
        watches = [f"--until-unready={url}" for url in urls]
        eager = ("--assume-ready", "--min=0", "--period=10ms", "--threshold=500", "--timeout=60")
        with Drain(*watches, *eager, "600", "--quiet") as drain:
            while drain.process.poll() is None:
                with contextlib.suppress(OSError, TypeError):  # it may have just ended
                    descriptors = len(os.listdir(f"/proc/{drain.process.pid}/fd"))
                    samples.append((*memory_of(drain.process), descriptors))
                time.sleep(0.02)
            drain.expect()
        assert server.connections == 20 * 500
    tenth = len(samples) // 10
    early, late = ([max(column) for column in zip(*part)] for part in (samples[:tenth], samples[-tenth:]))
    assert all(then >= now for then, now in zip(early, late)), (early, late)
