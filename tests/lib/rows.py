"""What the tests that need real programs have in common: rows that pass or fail, and installing what is missing."""

import concurrent.futures
import glob
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "drain-sleep"

_rows = []


def row(name):
    """A decorator: the function is a row of the test, which passes unless it raises."""

    def register(function):
        _rows.append((name, function))
        return function

    return register


def run_all(at_once=1):
    """Run the rows, so many at a time, in the order in which they stand. Returns the exit status of the test."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        passed = sum(pool.map(_run, _rows))
    failed = len(_rows) - passed
    print(f"\n{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def _run(row_):
    name, function = row_
    began = time.monotonic()
    try:
        function()
        verdict, why = "ok    ", ""
    except Exception as error:  # whatever it is, the other rows have their say
        verdict, why = "FAILED", f"\n       {type(error).__name__}: {error}"
        if isinstance(error, subprocess.CalledProcessError):
            why += f"\n{error.stdout or ''}{error.stderr or ''}"
    print(f"{verdict} {name} ({time.monotonic() - began:.1f} s){why}", flush=True)
    return verdict == "ok    "


def run(*command, **options):
    """Run a command that must succeed, and return what it printed."""
    options = {"check": True, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(list(map(str, command)), **options)


# Tells Debian to start no daemon that it installs.
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def install_packages(packages):
    """Install the packages of Debian whose program, or pattern of files, is the key and is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for key, package in packages.items() if not (shutil.which(key) or glob.glob(key))})
    if not missing:
        return
    print(f"installing {' '.join(missing)}", flush=True)
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    has_policy = POLICY.exists()
    try:
        if not has_policy:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *missing)
    finally:
        if not has_policy:
            POLICY.unlink()


def once(name, make):
    """A folder of this name that make(folder) fills, kept for the next time."""
    folder = CACHE / name
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
