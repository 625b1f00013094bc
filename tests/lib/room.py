"""A room is a folder of tests: `run`, a link to ../lib/run; test_*.py; and a conftest.py that says what its rows need.

    # conftest.py
    from room import Room

    ROOM = Room(packages={"haproxy": "haproxy"}, isolated=True, at_once=24)

    # test_ready.py
    import pytest
    from program import Drain
    from room import row
    from serving import Server, http

    @pytest.mark.parametrize("status, verdict", [
        row("the app is ready", 200, "ready"),
        row("the app fails", 503, "unready"),
    ])
    def test_verdict(status, verdict):
        with Server(http(status)) as server, Drain("--until-unready", f"http://127.0.0.1:{server.port}/", "20s") as drain:
            drain.wait_for(rf"is {verdict} \\({status}\\)")

`tests/ROOM/run -k the-app-fails` then runs one row, `-n 8` eight at a time, `-n 0` all in one process (for --pdb). What a row
needs and how it cleans up are fixtures: pytest's own `tmp_path`, which every user may read here, and those in ../conftest.py.
"""

import dataclasses
import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "drain-sleep"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


@dataclasses.dataclass
class Room:
    packages: dict = dataclasses.field(default_factory=dict)  # a program or a pattern of files, and Debian's package that has it
    build: Callable = lambda: None  # called once, with the network at hand: it builds what the rows need, and may set os.environ
    needs_program: bool = True  # DRAIN_SLEEP names it; without that, it is built
    isolated: bool = False  # the rows run in namespaces of their own, without a network; see isolation.py
    inside: Callable = lambda: None  # called once, when they have been entered
    at_once: int = 0  # how many processes run rows where -n does not say: 0 is this one alone


def row(name, *values, **options):
    """A row of `parametrize`. Its name's words are joined by hyphens, so that -k takes it."""
    import pytest  # which tests/bench does without

    return pytest.param(*values, id=slug(name), **options)


def slug(name):
    return re.sub(r"[^\w:./+]+", "-", name, flags=re.ASCII).strip("-")


def run(*command, **options):
    """Run a command that must succeed, and return what it printed."""
    options = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "check": True} | options
    check = options.pop("check")
    done = subprocess.run(list(map(str, command)), **options)
    if check and done.returncode:
        raise AssertionError(f"exit status {done.returncode} of {done.args}\n{done.stdout or ''}{done.stderr or ''}")
    return done


def wait_until(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.2)


def folder():
    """A new one, in the memory of an isolated room, which every user may read."""
    path = pathlib.Path(tempfile.mkdtemp(dir="/run"))
    path.chmod(0o755)
    return path


def certificate():
    """A folder with a new key and certificate for localhost and 127.0.0.1."""
    home = folder()
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-keyout", home / "key.pem", "-out", home / "cert.pem"),
    )
    return home


def install_packages(packages):
    """Install the packages of Debian whose program, or pattern of files, is the key and is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for key, package in packages.items() if not (shutil.which(key) or glob.glob(key))})
    if not missing:
        return
    print(f"installing {' '.join(missing)}", flush=True)
    run(pathlib.Path(__file__).with_name("apt-install"), *missing)


def build_program():
    """Build the program unless DRAIN_SLEEP names one; then DRAIN_SLEEP does."""
    if "DRAIN_SLEEP" not in os.environ:
        run("cargo", "build", "--release", "--locked", "--bin=drain-sleep", cwd=ROOT)
        os.environ["DRAIN_SLEEP"] = str(TARGET / "x86_64-unknown-linux-musl/release/drain-sleep")


def once(name, make, *sources):
    """A folder that make(folder) fills. It is kept for the next time, until one of the sources changes: texts, and paths of files
    and of folders of files."""
    digest = hashlib.sha256()
    for source in sources:
        if isinstance(source, pathlib.Path):
            for file in sorted(source.iterdir()) if source.is_dir() else [source]:
                digest.update(file.read_bytes())
        else:
            digest.update(source.encode())
    folder = CACHE / (f"{name}-{digest.hexdigest()[:12]}" if sources else name)
    if not folder.exists():
        print(f"building {name} (once; it may take minutes)", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = tempfile.mkdtemp(dir=CACHE, prefix=f"{name}-")
        try:
            make(unfinished)
            os.rename(unfinished, folder)  # whole or not at all
        except OSError:
            if not folder.exists():  # else another run has made it meanwhile
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def go_programs(source, *options):
    """The folder of the program that a Go module in a folder is, built once."""

    def make(folder):
        environment = os.environ | {"CGO_ENABLED": "0"}
        run("nice", "go", "build", "-trimpath", *options, "-o", f"{folder}/", ".", cwd=source, env=environment)

    return once(source.name, make, source, *options)


def python_programs(name, requirements):
    """The folder of the programs of a virtual environment of Python that has these packages, made once."""

    def make(folder):
        run(sys.executable, "-m", "venv", folder)
        run(f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements)

    return once(name, make, requirements) / "bin"


def node_packages(name, source):
    """A copy of a folder with what its package.json names, made once."""

    def make(folder):
        shutil.copytree(source, folder, dirs_exist_ok=True)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=folder)

    return once(name, make, source)
