"""Follows the README as a new user would, block by block: what is for the shell runs in a fresh clone of the last commit, a command
that is shown with its output has that output, and the rest stands in the examples, which tests/examples judges and tests/cluster
and tests/container run."""

import os
import re

import pytest
from room import ROOT, row, run

BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
EXAMPLES = [path.read_text() for path in [ROOT / "Dockerfile", *sorted((ROOT / "examples").rglob("*.*"))] if path.is_file()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    run("git", "clone", "--quiet", ROOT, folder)
    return folder


@pytest.mark.parametrize("language, block", [row(block.split("\n")[0], language, block) for language, block in BLOCKS])
def test_block(clone, language, block):
    if language == "sh":
        run("bash", "-euo", "pipefail", "-c", block, cwd=clone)
    elif block.startswith("$ "):
        command, output = block.removeprefix("$ ").split("\n", 1)
        shell = 'drain-sleep() { "$DRAIN_SLEEP" "$@"; }; ' + command + " 2>&1"
        assert run("bash", "-c", shell, env=os.environ, check=False).stdout == output
    elif block.startswith("drain-sleep: "):  # a log, whose plan `cargo test` compares with the hook's command
        assert all(line.startswith("drain-sleep: ") for line in block.splitlines())
    else:
        # Every line of the block stands in one example, be it in a comment.
        lines = [" ".join(line.split()).removeprefix("- ") for line in block.splitlines() if line.strip()]
        assert any(all(line in " ".join(example.split()) for line in lines) for example in EXAMPLES)
