"""Containers of the rows: each with one app or with the program, and all of the restrictions."""

import contextlib
import os
import pathlib

from program import Drain
from room import run, wait_until

WORK = pathlib.Path("/run/work")
DRAIN_SLEEP_IMAGE = "example.com/drain-sleep:1"
APP_IMAGE = "example.com/app:1"
COPIED_IMAGE = "example.com/app-with-drain-sleep:1"
USER = 65532


def restrictions():
    return [
        *("--pull=never", "--runtime=runc", "--network=none", "--log-driver=k8s-file"),
        *(f"--user={USER}:{USER}", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all"),
        *("--security-opt=no-new-privileges", "--memory=8m", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
        f"--cgroup-parent=/{os.environ['DRAIN_SLEEP_CGROUP']}",
    ]


@contextlib.contextmanager
def container(image, *arguments, options=()):
    name = run("podman", "run", "--detach", *restrictions(), *options, image, *arguments).stdout.strip()
    try:
        yield name
    finally:
        run("podman", "rm", "--force", "--time=0", name)


@contextlib.contextmanager
def app(image=COPIED_IMAGE, options=()):
    with container(image, options=options) as name:
        wait_until("the app serves", lambda: "serving" in logs(name))
        yield name


def logs(name):
    done = run("podman", "logs", name)
    return done.stdout + done.stderr


def inspect(name, what):
    return run("podman", "inspect", f"--format={{{{.State.{what}}}}}", name).stdout.strip()


def hook(name, *arguments, path="/drain-sleep"):
    """The program in a running container, as the kubelet runs a hook."""
    return Drain(*arguments, through=("podman", "exec", name), program=path)


def install(directory, *arguments, mount="rw", options=()):
    """The program as an init container, with the directory as /drain."""
    mounted = f"--volume={directory}:/drain:{mount}"
    through = ("podman", "run", "--rm", *restrictions(), mounted, *options)
    return Drain("--install", *arguments, through=through, program=DRAIN_SLEEP_IMAGE)
