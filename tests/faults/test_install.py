"""--install, where something fails or somebody interferes."""

import collections
import contextlib
import functools
import os
import pathlib
import random
import re
import signal
import time

import program
import pytest
from answers import free_path, strace
from program import drain
from test_hostile import again_and_again
from test_security import traced
from test_surroundings import ENDING
from test_system_calls import CANNOT_FAIL


def victim():
    path = free_path()
    path.write_text("untouched")
    path.chmod(0o600)
    return path


def is_whole(path):
    return path.read_bytes() == program.path().read_bytes() and path.stat().st_mode & 0o7777 == 0o555


def test_it_writes_through_no_link_in_the_place_of_its_target_or_temporary_file(tmp_path):
    precious, missing = victim(), free_path()
    (tmp_path / "target").symlink_to(precious)
    for number in range(5):
        (tmp_path / f".drain-sleep.{number}").symlink_to(missing if number % 2 else precious)
    drain("--install", tmp_path / "target", "1s").expect("installed")
    assert is_whole(tmp_path / "target") and not (tmp_path / "target").is_symlink()
    assert precious.read_text() == "untouched" and not missing.exists()


def test_into_a_directory_that_its_user_may_not_list(tmp_path):
    tmp_path.chmod(0o333)
    drain("--install", tmp_path, "1s", through=("setpriv", "--reuid=65532", "--clear-groups")).expect("installed")
    assert is_whole(tmp_path / "drain-sleep")


def test_while_another_process_puts_links_in_its_way_again_and_again(tmp_path):
    precious, elsewhere, installed = victim(), free_path().parent, 0

    def interfere():
        for name in ("target", ".drain-sleep.0", ".drain-sleep.1"):
            for points_to in (precious, elsewhere / "new"):
                link = free_path()
                os.symlink(points_to, link)
                os.replace(link, tmp_path / name)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(tmp_path / name)
            time.sleep(random.uniform(0, 0.1))  # or nothing ever comes through

    with again_and_again(interfere):
        for attempt in range(1000):
            installed += drain("--install", tmp_path / "target").status == 0
            if attempt >= 30 and installed:
                break
    assert installed, "it never came through"
    assert precious.read_text() == "untouched" and precious.stat().st_mode & 0o7777 == 0o600
    assert not list(elsewhere.iterdir())


def test_where_sigchld_came_ignored(tmp_path):
    ignores = ("sh", "-c", """trap '' CHLD; exec "$0" "$@" """)
    drain("--install", tmp_path / "target", through=ignores).expect("installed")
    assert is_whole(tmp_path / "target")


@pytest.mark.parametrize("number", [*ENDING, signal.SIGABRT], ids=lambda number: number.name)
@pytest.mark.parametrize("call", ["open", "read", "fchmod", "fsync", "wait4", "rename"])
def test_a_signal_or_a_bug_that_ends_it_leaves_nothing(tmp_path, call, number):
    (tmp_path / "target").write_text("old")
    trace = free_path()

    def end(process):
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not re.search(rf"^{call}\(", trace.read_text() if trace.exists() else "", re.MULTILINE):
            time.sleep(0.01)
        os.kill(int(children.read_text().split()[0]), number)

    # Once, and long enough for a busy machine to send the signal in time.
    slowly = strace(f"--trace={call}", f"--inject={call}:delay_exit=3s:when=1", trace=trace)
    ended = drain("--install", tmp_path / "target", "1s", through=slowly, meanwhile=end)
    if number == signal.SIGABRT:
        ended.expect("a bug, please report it: aborted", status=2)
    else:
        ended.expect(f"ended by {number.name} after ", status=128 + number)
    assert [path.name for path in tmp_path.iterdir()] == ["target"], str(ended)
    assert call == "rename" or (tmp_path / "target").read_text() == "old", str(ended)


# close(2) is missing: it ends the descriptor even where it fails, which strace cannot imitate.
ERRORS = {
    "brk": "ENOMEM",
    "execve": "EACCES ENOEXEC ETXTBSY ENOMEM",
    "fchmod": "EPERM EROFS EIO",
    "fcntl": "EINVAL EPERM",
    "fork": "EAGAIN ENOMEM EPERM",
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
    "wait4": "ECHILD EINVAL",
    "write": "ENOSPC EIO EDQUOT EFBIG",
}


@functools.cache
def made():
    """How often it makes each system call, where nothing fails."""
    ended, lines = traced("--install", free_path(), calls="all")
    ended.expect("installed")
    return collections.Counter(re.findall(r"^\d+ +(\w+)\(", "\n".join(lines), re.MULTILINE))


def test_every_call_that_it_makes_is_made_to_fail():
    assert made().keys() - CANNOT_FAIL - {"close"} == ERRORS.keys() - CANNOT_FAIL


@pytest.mark.parametrize("call", ERRORS)
def test_a_system_call_fails_and_all_is_as_it_was_or_as_it_should_be(call):
    times = ["2"] if call == "execve" else [*map(str, range(1, made()[call] + 1)), "1+"]  # the first execve is strace's own
    for error in ERRORS[call].split():
        for when in times:
            one_fault(call, f"{call}:error={error}:when={when}")


def one_fault(call, fault):
    target = free_path()
    target.write_text("old")
    ended, _ = traced("--install", target, calls=call, options=(f"--inject={fault}", "--follow-forks"))
    assert [path.name for path in target.parent.iterdir()] == [target.name], f"{fault}: {ended}"
    if ended.status == 0:
        assert is_whole(target), f"{fault}: {ended}"
    else:
        assert ended.status in (1, 2) and target.read_text() == "old", f"{fault}: {ended}"
        said = str(target) in ended.log or "out of memory" in ended.log
        assert said or call in ("poll", "write"), f"{fault} is not said: {ended}"
