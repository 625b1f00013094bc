"""Drains and installs in containers. The app that is drained is examples/app.rs; there is no network but loopback."""

import json
import pathlib
import stat
import subprocess
import sys

import program
import pytest
from podman import APP_IMAGE, DRAIN_SLEEP_IMAGE, USER, app, container, hook, inspect, install, logs
from room import row, run, wait_until

READYZ = ("--until-unready", "http://localhost:8080/readyz")


def test_the_restrictions_are_in_force():
    with app() as name:
        lines = pathlib.Path(f"/proc/{inspect(name, 'Pid')}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines)
        assert status["Uid"].split() == [str(USER)] * 4, status["Uid"]
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, status
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status


def test_2s_takes_2_s():
    with app() as name:
        hook(name, "2s").expect("slept", at_least=2)


def test_until_unready_ends_soon_after_sigterm_has_turned_the_app_unready_and_the_app_is_still_there():
    with app(options=["--env=SHUTDOWN_SECONDS=50"]) as name, hook(name, *READYZ, "--min=1s", "45s") as drain:
        drain.wait_for(r"is ready \(200\)")
        run("podman", "kill", "--signal=TERM", name)
        drain.expect(r"is unready \(503\)", "drained after", at_least=2)
        assert inspect(name, "Running") == "true"


# Asks until its stdin has ended, says when it has had an answer, and stays connected.
CLIENT = """
import http.client, select, sys, time
connection = http.client.HTTPConnection("127.0.0.1", 8080)
over = False
while True:
    connection.request("GET", "/")
    connection.getresponse().read()
    print("answered", flush=True)
    if over:
        time.sleep(600)
    over = select.select([sys.stdin], [], [], 0.1)[0]
"""


def test_until_idle_ends_when_a_connection_has_fallen_silent_though_it_stays_open():
    with app() as name:
        namespace = f"--net=/proc/{inspect(name, 'Pid')}/ns/net"
        command = ["nsenter", namespace, sys.executable, "-c", CLIENT]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            try:
                assert client.stdout.readline() == "answered\n"
                with hook(name, "--until-idle=8080", "--idle-after=2s", "--min=0", "--period=200ms", "45s") as drain:
                    drain.wait_for(r"is busy \(1 of 1")
                    client.stdin.close()
                    drain.expect(r"is idle \(1 open\)", "drained after", at_least=2)
            finally:
                client.kill()


def test_a_bad_option_still_sleeps():
    with app() as name:
        hook(name, "--perid", "5", "2s").expect("--perid", "--period", status=2, at_least=2)


def test_log_file_proc_1_fd_2_shows_up_in_the_containers_log():
    with app() as name:
        hook(name, "--log-file=/proc/1/fd/2", "1s").expect()
        wait_until("the log has it", lambda: "drain-sleep: " in logs(name))


def test_as_pid_1_podman_stop_ends_it_at_once():
    with container(DRAIN_SLEEP_IMAGE, "infinity") as name:
        wait_until("it logs", lambda: "drain-sleep: " in logs(name))
        run("podman", "stop", "--time=50", name)
        assert inspect(name, "ExitCode") == "143"


@pytest.fixture
def volume(tmp_path):
    """A directory such as an emptyDir: everybody may write there."""
    tmp_path.chmod(0o777)
    return tmp_path


def contents(directory):
    return sorted(path.name for path in directory.iterdir())


def expect_installed(path):
    """The program is there, whole, and for everybody to run."""
    status = path.lstat()
    assert stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o555, oct(status.st_mode)
    assert path.read_bytes() == program.path().read_bytes()


def test_one_container_installs_into_a_volume_and_drains_a_second_one_of_another_image(volume):
    arguments = ["--post=http://localhost:8080/drain", *READYZ, "--min=1s", "--period=200ms", "45s"]
    install(volume, "/drain", *arguments).expect()
    with app(APP_IMAGE, options=[f"--volume={volume}:/drain:ro"]) as name:
        drained = hook(name, *arguments, path="/drain/drain-sleep")
        drained.expect(r"is unready \(503\)", "drained after", at_least=1)


def test_eight_containers_at_the_same_moment_each_pid_1_leave_one_whole_program(volume):
    for installing in [install(volume, "/drain") for _ in range(8)]:
        installing.expect()
    expect_installed(volume / "drain-sleep")
    assert contents(volume) == ["drain-sleep"]


def test_it_is_not_hindered_by_what_a_run_has_left_that_was_killed_half_way(volume, tmp_path_factory):
    # The kernel kills the run when it syncs, which is after the copy has been written and before it is tried.
    profile = json.loads(pathlib.Path("/usr/share/containers/seccomp.json").read_text())
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name not in ("fsync", "fdatasync")]
    profile["syscalls"].append({"names": ["fsync", "fdatasync"], "action": "SCMP_ACT_KILL_PROCESS"})
    deadly = tmp_path_factory.mktemp("profile") / "deadly.json"
    deadly.write_text(json.dumps(profile))
    install(volume, "/drain", options=[f"--security-opt=seccomp={deadly}"]).expect(status=128 + 31)  # SIGSYS
    (leftover,) = contents(volume)
    assert leftover != "drain-sleep"
    install(volume, "/drain").expect()
    expect_installed(volume / "drain-sleep")
    assert contents(volume) == sorted([leftover, "drain-sleep"])


def test_a_mistake_in_the_drains_arguments_leaves_nothing_behind(volume):
    install(volume, "/drain", "--util-idle", "8080", "20s").expect("--util-idle", "--until-idle", status=2)
    assert contents(volume) == []


def full(volume):
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", volume)


def has_an_old_copy(volume):
    """What is there must outlive the failure."""
    (volume / "drain-sleep").write_text("an old copy")


@pytest.mark.parametrize("cause, mount, prepare", [
    row("a read-only file system", "Read-only file system", "ro", has_an_old_copy),
    row("a full file system", "No space left on device", "rw", full),
    row("a file system mounted noexec", "noexec", "noexec", has_an_old_copy),
    row("a directory that the user may not write to", "Permission denied", "rw", lambda volume: volume.chmod(0o755)),
])
def test_it_fails_with_a_word_and_no_trace(volume, cause, mount, prepare):
    prepare(volume)
    before = contents(volume)
    install(volume, "/drain/drain-sleep", mount=mount).expect("/drain/drain-sleep", f"(?i){cause}", status=1)
    assert contents(volume) == before
