"""What the tests that need real programs have in common: rows that pass or fail, and installing what is missing."""

import concurrent.futures
import subprocess
import time

from room import CACHE, ROOT, install_packages, once, run  # noqa: F401

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
