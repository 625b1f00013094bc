"""A real Kubernetes of one node, whose pods are drained; see README.md."""

import collections
import os
import pathlib

import istio
import nginx
import parts
import picture
import policies
import pytest
import report
import room
import router
import up


def build(kubernetes=None):
    os.environ["DRAIN_SLEEP_APP"] = str(parts.install(kubernetes))
    if "DRAIN_SLEEP_EXAMPLES" not in os.environ:
        room.run("cargo", "build", "--release", "--locked", "--example=app", "--example=load", cwd=room.ROOT)
        os.environ["DRAIN_SLEEP_EXAMPLES"] = str(room.TARGET / "x86_64-unknown-linux-musl/release/examples")


def build_routers():
    os.environ["DRAIN_SLEEP_APP"] = str(parts.install())
    router.install()
    nginx.install()
    istio.install()


ROOM = room.Room(build=build, isolated=True)


def pytest_addoption(parser):
    parser.addoption("--short", action="store_true", help="all but most of the rolling restarts")
    parser.addoption("--kubernetes", metavar="VERSION", help="on this version in place of the pinned one, such as 1.34.1")
    parser.addoption("--picture", type=pathlib.Path, metavar="FILE", help="write what was measured as an SVG to FILE")
    parser.addoption("--routers", action="store_true", help="measure how late routers are, and nothing else")
    parser.addoption("--missing", action="store_true", help="of the routers, measure what was not measured yet")
    parser.addoption("--kept", action="store_true", help="of the routers, measure nothing: judge and tell what was measured")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """What the room needs follows from its options. It is asked for by the hook of this name in ../conftest.py, after this one."""
    if config.option.kept:
        ROOM.build, ROOM.isolated, ROOM.needs_program = lambda: None, False, False
    elif config.option.routers:
        ROOM.build = build_routers
    elif config.option.kubernetes:
        ROOM.build = lambda: build(config.option.kubernetes)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: not in the short form")


def pytest_collection_modifyitems(config, items):
    measured = collections.Counter()

    def is_wanted(item):
        if item.path.name != "test_routers.py":
            return not config.option.routers and not (config.option.short and item.get_closest_marker("long"))
        if not config.option.routers:
            return False
        row = item.callspec.params["row"]
        measured[row.key] += 1
        return not config.option.missing or measured[row.key] <= report.KEPT.lacks(row)

    wanted = [item for item in items if is_wanted(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = sorted(wanted, key=place_of_policy)


def place_of_policy(item):
    """It takes half a minute to put another policy in force: rows of one follow each other, and those without one come last."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    policy = parameters.get("policy") or getattr(parameters.get("case"), "policy", None)
    return policies.ALL.index(policy) if policy else len(policies.ALL)


@pytest.fixture(scope="session", autouse=True)
def cluster(request):
    if request.config.option.kept:
        return
    try:
        up.up(os.environ["DRAIN_SLEEP_CGROUP"], os.environ["DRAIN_SLEEP"], os.environ["DRAIN_SLEEP_APP"])
    except BaseException:
        up.print_logs()
        raise


def pytest_terminal_summary(config):
    print()
    if config.option.routers:
        report.print_routers(config.option.picture)
    elif report.restarts:
        report.print_restarts()
        if config.option.picture:
            config.option.picture.write_text(picture.svg(report.restarts))
