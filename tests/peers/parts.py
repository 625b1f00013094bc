"""What the tests need: packages of Debian, PyPI and npm, programs built from Go modules, and the program under test.

What it takes from the machine is Go, Rust and Python."""

import glob
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "drain-sleep"

# A program, or a pattern of files, and the package that has it.
PACKAGES = {
    "h2o": "h2o",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "nghttpd": "nghttp2-server",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "/usr/lib/python3/dist-packages/seccomp.*.so": "python3-seccomp",
    "setpriv": "util-linux",
}
# Daemons that Debian would start as soon as they are installed.
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def install():
    """Install and build what is missing, and leave word in the environment of where it is."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted(package for program, package in PACKAGES.items() if not (shutil.which(program) or glob.glob(program)))
    if missing:
        install_packages(missing)
    os.environ["PEERS_PYTHON"] = str(once("python", ["requirements.txt"], make_python) / "bin/python")
    os.environ["PEERS_NODE"] = str(once("node", sorted_files("nodeserver"), make_node))
    os.environ["PEERS_GOSERVER"] = str(once("goserver", sorted_files("goserver"), make_go) / "goserver")
    os.environ["PEERS_KUBELET"] = str(once("kubelet", sorted_files("kubelet"), make_go) / "kubelet")
    if "DRAIN_SLEEP" not in os.environ:
        os.environ["DRAIN_SLEEP"] = str(build_drain_sleep())


def install_packages(packages):
    say(f"installing {' '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=environment)
    started_by_install = not POLICY.exists()
    try:
        if started_by_install:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        options = "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"
        run("apt-get", "install", *options, *packages, env=environment, stdout=subprocess.DEVNULL)
    finally:
        if started_by_install:
            POLICY.unlink()


def sorted_files(folder):
    return sorted(str(path.relative_to(HERE)) for path in (HERE / folder).iterdir())


def once(name, sources, make):
    """A folder that `make` fills from these sources, kept for the next time."""
    content = b"".join((HERE / source).read_bytes() for source in sources)
    folder = CACHE / f"peers-{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    if not folder.exists():
        say(f"building {name}")
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = tempfile.mkdtemp(dir=CACHE, prefix=f"peers-{name}-")
        try:
            make(unfinished, HERE / sources[0])
            os.rename(unfinished, folder)  # whole or not at all
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def make_python(folder, requirements):
    run(sys.executable, "-m", "venv", folder)
    run(f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements)


def make_node(folder, source):
    shutil.copytree(source.parent, folder, dirs_exist_ok=True)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=folder)


def make_go(folder, source):
    environment = os.environ | {"CGO_ENABLED": "0"}
    run("nice", "go", "build", "-trimpath", "-o", f"{folder}/", ".", cwd=source.parent, env=environment)


def build_drain_sleep():
    run("cargo", "build", "--release", "--locked", "--quiet", cwd=ROOT)
    return ROOT / "target/x86_64-unknown-linux-musl/release/drain-sleep"


def program_copy():
    """The program where any user can run it."""
    copy = pathlib.Path("/mnt/drain-sleep")
    shutil.copy(os.environ["DRAIN_SLEEP"], copy)
    copy.chmod(0o755)
    return str(copy)


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def say(text):
    print(f"peers: {text}", flush=True)
