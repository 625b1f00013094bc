"""What the tests need: packages of Debian, PyPI and npm, programs built from Go modules, and the program under test.

What it takes from the machine is Go, Rust and Python."""

import hashlib
import os
import pathlib
import shutil
import sys

import rows

HERE = pathlib.Path(__file__).parent

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


def install():
    """Install and build what is missing, and leave word in the environment of where it is."""
    rows.install_packages(PACKAGES)
    os.environ["PEERS_PYTHON"] = str(once("python", ["requirements.txt"], make_python) / "bin/python")
    os.environ["PEERS_NODE"] = str(once("node", sorted_files("nodeserver"), make_node))
    os.environ["PEERS_GOSERVER"] = str(once("goserver", sorted_files("goserver"), make_go) / "goserver")
    os.environ["PEERS_KUBELET"] = str(once("kubelet", sorted_files("kubelet"), make_go) / "kubelet")
    if "DRAIN_SLEEP" not in os.environ:
        os.environ["DRAIN_SLEEP"] = str(build_drain_sleep())


def sorted_files(folder):
    return sorted(str(path.relative_to(HERE)) for path in (HERE / folder).iterdir())


def once(name, sources, make):
    """What `make` makes of these sources."""
    content = b"".join((HERE / source).read_bytes() for source in sources)
    digest = hashlib.sha256(content).hexdigest()[:12]
    return rows.once(f"peers-{name}-{digest}", lambda folder: make(folder, HERE / sources[0]))


def make_python(folder, requirements):
    rows.run(sys.executable, "-m", "venv", folder)
    rows.run(f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements)


def make_node(folder, source):
    shutil.copytree(source.parent, folder, dirs_exist_ok=True)
    rows.run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=folder)


def make_go(folder, source):
    environment = os.environ | {"CGO_ENABLED": "0"}
    rows.run("nice", "go", "build", "-trimpath", "-o", f"{folder}/", ".", cwd=source.parent, env=environment)


def build_drain_sleep():
    rows.run("cargo", "build", "--release", "--locked", "--quiet", cwd=rows.ROOT)
    return rows.ROOT / "target/x86_64-unknown-linux-musl/release/drain-sleep"


def program_copy():
    """The program where any user can run it."""
    copy = pathlib.Path("/run/drain-sleep")
    shutil.copy(os.environ["DRAIN_SLEEP"], copy)
    copy.chmod(0o755)
    return str(copy)
