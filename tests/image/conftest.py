"""Docker's BuildKit builds the Dockerfile, and a release is made twice in different places: all bytes are equal.

No registry is asked. The Dockerfile's base image is a stand-in of the same name, made of Debian's packages and rustup, which is kept
in the user's cache. A build gets the host's network and certificates, to reach crates.io as the host does."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from isolation import PREFIX, create_cgroup, remove_cgroup
from room import ROOT, Room, once, run

DOCKER = "/usr/bin/docker"  # Debian's, which has BuildKit inside; another one in PATH may be without
BASE = re.search(r"^FROM \S+ (\S+/rust:(\S+)-bookworm) AS build$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
SETTINGS = (
    "ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo",
    "ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)

ROOM = Room(
    packages={"buildah": "buildah", "debootstrap": "debootstrap", DOCKER: "docker.io", "qemu-aarch64-static": "qemu-user-static"},
    needs_program=False,
)


def make_base(folder):
    with tempfile.TemporaryDirectory() as work:
        root = pathlib.Path(work, "root")
        home = root / "usr/local"
        run("debootstrap", "--variant=minbase", "bookworm", root)
        (home / "cargo/bin").mkdir(parents=True)
        rustup = ("rustup", "toolchain", "install", "--profile=minimal", "--no-self-update", BASE[2])
        run(*rustup, env=os.environ | {"RUSTUP_HOME": f"{home}/rustup", "CARGO_HOME": f"{home}/cargo"})
        shutil.copy(shutil.which("rustup"), home / "cargo/bin/rustup")
        for proxy in ("cargo", "rustc"):
            (home / "cargo/bin" / proxy).symlink_to("rustup")
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copy(CERTIFICATES, root / "etc/ssl/certs")
        run("tar", "--create", f"--file={folder}/root.tar", f"--directory={root}", "--one-file-system", ".")


@pytest.fixture(scope="session")
def docker(tmp_path_factory):
    """A daemon of Docker's own that changes no network device and no firewall, with the base image."""
    work = tmp_path_factory.mktemp("docker")
    socket = f"unix://{work}/docker.sock"
    folders = [f"--{name}={work}/{name}" for name in ("data-root", "exec-root")]
    group = f"{PREFIX}{os.getpid()}"
    options = (f"--pidfile={work}/pid", f"--cgroup-parent={group}", "--bridge=none", "--iptables=false")
    settings = os.environ | {"DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": f"{work}/config", "DOCKER_HOST": socket}

    def docker(*arguments, **options):
        return run(DOCKER, *arguments, env=settings, **options)

    with contextlib.ExitStack() as stack, open(work / "log", "w") as log:
        for lock in create_cgroup(group):
            stack.callback(os.close, lock)
        stack.callback(remove_cgroup, group)
        command = ("setpriv", "--pdeathsig=TERM", "dockerd", f"--host={socket}", *folders, *options)
        daemon = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(daemon.terminate)
        while docker("version", check=False).returncode:
            assert daemon.poll() is None, (work / "log").read_text()
            time.sleep(0.1)
        base = once(f"rust-{BASE[2]}", make_base, CERTIFICATES)
        changes = [f"--change={setting}" for setting in SETTINGS]
        docker("import", "--platform=linux/amd64", *changes, base / "root.tar", BASE[1])
        yield docker
