"""--install, where something fails or somebody interferes."""

import collections
import contextlib
import functools
import os
import pathlib
import re
import time

from hostile import again_and_again
from program import PROGRAM, drain
from rows import row
from security import traced
from servers import free_path
from surroundings import ENDING
from system_calls import CANNOT_FAIL


@contextlib.contextmanager
def folder():
    path = pathlib.Path(free_path())
    path.mkdir()
    yield path


def victim():
    path = pathlib.Path(free_path())
    path.write_text("untouched")
    path.chmod(0o600)
    return path


def is_whole(path):
    return path.read_bytes() == PROGRAM.read_bytes() and path.stat().st_mode & 0o7777 == 0o555


@row("--install writes through no link, be it in the place of its target or of its temporary file")
def _():
    with folder() as place:
        precious, missing = victim(), pathlib.Path(free_path())
        (place / "target").symlink_to(precious)
        for number in range(5):
            (place / f".drain-sleep.{number}").symlink_to(missing if number % 2 else precious)
        drain("--install", place / "target", "1s").expect("installed")
        assert is_whole(place / "target") and not (place / "target").is_symlink()
        assert precious.read_text() == "untouched" and not missing.exists()


@row("--install into a directory that its user may not list")
def _():
    with folder() as place:
        place.chmod(0o333)
        drain("--install", place, "1s", through=("setpriv", "--reuid=65532", "--clear-groups")).expect("installed")
        assert is_whole(place / "drain-sleep")


@row("--install, while another process puts links in its way again and again")
def _():
    with folder() as place, folder() as elsewhere:
        precious, installed = victim(), 0

        def interfere():
            for name in ("target", ".drain-sleep.0", ".drain-sleep.1"):
                for points_to in (precious, elsewhere / "new"):
                    link = free_path()
                    os.symlink(points_to, link)
                    os.replace(link, place / name)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(place / name)

        with again_and_again(interfere):
            for _ in range(30):
                installed += drain("--install", place / "target").status == 0
        assert installed, "it never came through"
        assert precious.read_text() == "untouched" and precious.stat().st_mode & 0o7777 == 0o600
        assert not list(elsewhere.iterdir())


@row("--install, where SIGCHLD came ignored")
def _():
    with folder() as place:
        drain("--install", place / "target", through=("sh", "-c", """trap '' CHLD; exec "$0" "$@" """)).expect("installed")
        assert is_whole(place / "target")


@row("--install that a signal ends leaves nothing, whichever step it is at")
def _():
    for call in ("open", "read", "fchmod", "fsync", "wait4", "rename"):
        for number in ENDING:
            with folder() as place:
                (place / "target").write_text("old")
                trace = pathlib.Path(free_path())

                def end(process, number=number, call=call, trace=trace):
                    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
                    while not re.search(rf"^{call}\(", trace.read_text() if trace.exists() else "", re.MULTILINE):
                        time.sleep(0.01)
                    os.kill(int(children.read_text().split()[0]), number)

                slowly = f"--inject={call}:delay_exit=300ms"
                through = ("strace", "-qq", f"--output={trace}", f"--trace={call}", slowly)
                ended = drain("--install", place / "target", "1s", through=through, meanwhile=end)
                ended.expect(f"ended by {number.name} after ", status=128 + number)
                names = {path.name for path in place.iterdir()}
                assert names == {"target"}, f"{call}, {number.name} left {names}: {ended}"
                assert call == "rename" or (place / "target").read_text() == "old", ended


# close(2) is missing: it ends the descriptor even where it fails, which strace cannot imitate.
ERRORS = {
    "brk": "ENOMEM",
    "execve": "EACCES ENOEXEC ETXTBSY ENOMEM",
    "fchmod": "EPERM EROFS EIO",
    "fcntl": "EINVAL EPERM",
    "fork": "EAGAIN ENOMEM EPERM",
    "fstat": "EPERM ENOSYS",
    "fsync": "EIO ENOSPC EDQUOT EINVAL",
    "mmap": "ENOMEM EPERM",
    "munmap": "ENOMEM EINVAL",
    "open": "EACCES EMFILE ENOSPC EROFS EDQUOT ELOOP",
    "poll": "EINVAL EPERM",
    "pwritev2": "EAGAIN ENOSYS EPERM",
    "read": "EIO EISDIR",
    "rename": "EACCES EXDEV EROFS ENOSPC EISDIR",
    "rt_sigaction": "EINVAL EPERM",
    "rt_sigprocmask": "EINVAL EPERM",
    "stat": "EACCES ELOOP EPERM",
    "wait4": "ECHILD EINVAL",
    "write": "ENOSPC EIO EDQUOT EFBIG",
}


def rows():
    with folder() as place:
        ended, lines = traced("--install", place / "target", calls="all")
    ended.expect("installed")
    made = collections.Counter(re.findall(r"^\d+ +(\w+)\(", "\n".join(lines), re.MULTILINE))
    for call in sorted(made.keys() - (CANNOT_FAIL - {"execve"}) - {"close"}):
        row(f"--install: {call} fails, and all is as it was or as it should be")(functools.partial(with_faults, call, made[call]))


def with_faults(call, made):
    times = ["2"] if call == "execve" else [*map(str, range(1, made + 1)), "1+"]  # the first execve is strace's own
    for error in ERRORS[call].split():
        for when in times:
            one_fault(call, f"{call}:error={error}:when={when}")


def one_fault(call, fault):
    with folder() as place:
        target = place / "target"
        target.write_text("old")
        ended, lines = traced("--install", target, calls=call, strace=(f"--inject={fault}", "--follow-forks"))
        names = {path.name for path in place.iterdir()}
        assert names == {"target"}, f"{fault} left {names}: {ended}"
        if ended.status == 0:
            assert is_whole(target), f"{fault}: {ended}"
        else:
            assert ended.status in (1, 2) and target.read_text() == "old", f"{fault}: {ended}"
            said = str(target) in ended.log or "out of memory" in ended.log
            assert said or call in ("poll", "write"), f"{fault} is not said: {ended}"
