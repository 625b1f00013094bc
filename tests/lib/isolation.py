"""Namespaces and control groups of a run's own: what happens in them ends with them, even when the run is killed."""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import signal
import subprocess
import sys

PREFIX = "drain-sleep-test-"

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000  # <linux/sched.h>
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
libc = ctypes.CDLL(None, use_errno=True)


def isolate():
    """Go on in a child that is the first process of its own PID namespace. The parent stays outside, and ends as the child does.

    The kernel kills a PID namespace together with its first process, and mounts and network devices go away with the
    last process in their namespace: no container, shim or mount can be left behind. Only control groups have no such
    owner, so they are removed here: ours at the end, and those of runs that were killed before they could do it.
    $DRAIN_SLEEP_CGROUP names ours.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda number, _: sys.exit(128 + number))
    for group in {path.name for hierarchy in hierarchies() for path in hierarchy.glob(f"{PREFIX}*")}:
        remove_cgroup(group, only_if_abandoned=True)

    os.environ["DRAIN_SLEEP_CGROUP"] = group = f"{PREFIX}{os.getpid()}"
    locks = create_cgroup(group)
    unshare(CLONE_NEWPID)  # of the children: a process cannot change its own
    child = os.fork()
    if child == 0:
        become_first_process()
        return
    try:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has ended, unless a signal ended us
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        remove_cgroup(group)
        for lock in locks:
            os.close(lock)


def become_first_process():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    os.setsid()  # a terminal's ^C is for the parent, which ends everything at once
    for command in (
        "mount --make-rprivate /",
        "mount -t proc proc /proc",
        # All that the cluster writes goes here, where nobody else sees it; the kubelet links to logs in /var/log.
        "mount -t tmpfs tmpfs /run",
        "mount -t tmpfs tmpfs /var/log",
        "ip link set lo up",
    ):
        subprocess.run(command.split(), check=True)


def unshare(namespaces):
    if libc.unshare(namespaces):
        raise OSError(ctypes.get_errno(), "unshare(2), which only root may do")


@contextlib.contextmanager
def own_network():
    """What this thread does inside, and what it starts, is in a network namespace of its own, with `lo` alone."""
    with open("/proc/thread-self/ns/net") as before:
        unshare(CLONE_NEWNET)
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            libc.setns(before.fileno(), CLONE_NEWNET)


def create_cgroup(group):
    """Create the control group in every hierarchy. Returns locks, which show that its run is alive."""
    locks = []
    for hierarchy in hierarchies():
        path = hierarchy / group
        path.mkdir()
        locks.append(os.open(path, os.O_RDONLY))
        fcntl.flock(locks[-1], fcntl.LOCK_EX)
        # cpuset(7): empty in a new group of version 1, which then takes no process.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (path / setting).exists() and (hierarchy / setting).exists():
                (path / setting).write_text((hierarchy / setting).read_text())
    return locks


def remove_cgroup(group, only_if_abandoned=False):
    for hierarchy in hierarchies():
        path = hierarchy / group
        if not path.exists():
            continue
        if only_if_abandoned:
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                os.close(lock)
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)


def hierarchies():
    """The mount points of control groups: one of version 2, or one for each controller."""
    with open("/proc/mounts") as mounts:
        return [pathlib.Path(m[1]) for m in map(str.split, mounts) if m[2] in ("cgroup", "cgroup2")]
