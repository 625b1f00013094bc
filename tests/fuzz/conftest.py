"""Looks for inputs under which what must hold of the program's pure parts (properties/) does not, guided by coverage."""

import os
import pathlib
import re

from room import ROOT, Room, run

HERE = pathlib.Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--seconds", type=int, default=15, help="that each property gets")
    help_ = "add what is worth it to corpus/, an input a line, which `cargo test` replays"
    parser.addoption("--keep", action="store_true", help=help_)


def build():
    variables = {name: value for name, value in os.environ.items() if not re.search("RUSTFLAGS|CARGO_BUILD", name)}
    settings = variables | {"CARGO_TARGET_DIR": str(ROOT / "target/fuzz")}
    run("cargo", "build", "--release", "--locked", cwd=HERE, env=settings)


ROOM = Room(packages={"c++": "g++"}, build=build, needs_program=False, at_once=os.cpu_count())
