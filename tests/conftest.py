"""What all rooms have in common: see lib/room.py."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile

import isolation
import pytest
import room


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Prepares a room, in the one process that starts the others."""
    if hasattr(config, "workerinput") or config.option.help:
        return
    needs = next((plugin.ROOM for plugin in config.pluginmanager.get_plugins() if hasattr(plugin, "ROOM")), room.Room())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    room.install_packages(needs.packages)
    needs.build()
    if needs.needs_program:
        room.build_program()
    if needs.isolated:
        isolation.isolate()  # and go on inside, while this process waits outside
        if needs.needs_program:  # where every user may run it
            os.environ["DRAIN_SLEEP"] = shutil.copy(os.environ["DRAIN_SLEEP"], "/run/drain-sleep")
    needs.inside()
    if config.option.numprocesses is None:
        config.option.numprocesses = needs.at_once
    if not config.option.basetemp:
        folder = tempfile.mkdtemp(dir="/run" if needs.isolated else None)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        pathlib.Path(folder).chmod(0o755)
        config.option.basetemp = f"{folder}/rows"


def pytest_make_parametrize_id(val):
    """A text, and what has a name, give a row its name."""
    name = getattr(val, "name", val)
    return room.slug(name) if isinstance(name, str) else None


@pytest.fixture(autouse=True, scope="session")
def _rows_are_in_sight(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    for part in (folder, folder.parent):
        part.chmod(0o755)


@pytest.fixture
def tmp_path(tmp_path):
    """pytest's, for every user to read."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def own_network():
    """The row is in a network namespace of its own, with `lo` alone."""
    with isolation.own_network():
        yield
