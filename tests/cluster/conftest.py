"""A real Kubernetes of one node, whose pods are drained; see README.md."""

import os
import pathlib

import parts
import picture
import pytest
import report
import room
import up


def build():
    os.environ["DRAIN_SLEEP_APP"] = str(parts.install())
    if "DRAIN_SLEEP_EXAMPLES" not in os.environ:
        room.run("cargo", "build", "--release", "--locked", "--example=app", "--example=load", cwd=room.ROOT)
        os.environ["DRAIN_SLEEP_EXAMPLES"] = str(room.TARGET / "x86_64-unknown-linux-musl/release/examples")


ROOM = room.Room(build=build, isolated=True)


def pytest_addoption(parser):
    parser.addoption("--short", action="store_true", help="all but most of the rolling restarts")
    parser.addoption("--picture", type=pathlib.Path, metavar="FILE", help="write the rolling restarts as an SVG to FILE")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: not in the short form")


def pytest_collection_modifyitems(config, items):
    if config.option.short:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session", autouse=True)
def cluster():
    try:
        up.up(os.environ["DRAIN_SLEEP_CGROUP"], os.environ["DRAIN_SLEEP"], os.environ["DRAIN_SLEEP_APP"])
    except BaseException:
        up.print_logs()
        raise


def pytest_terminal_summary(config):
    if report.restarts:
        print()
        report.print_restarts()
        if config.option.picture:
            config.option.picture.write_text(picture.svg(report.restarts))
