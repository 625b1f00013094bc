"""Follows the README as a new user would: runs its shell blocks, in their order, in a fresh clone of the last commit, and
finds its other blocks in the examples, which tests/examples applies and tests/container runs."""

import re

import pytest
from room import ROOT, row, run

BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
EXAMPLES = [path.read_text() for path in (ROOT / "examples").rglob("*.yaml")]


def blocks(in_shell):
    """Each is named by its first line."""
    return [row(block.split("\n")[0], block) for language, block in BLOCKS if (language == "sh") == in_shell]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    run("git", "clone", "--quiet", ROOT, folder)
    return folder


@pytest.mark.parametrize("block", blocks(in_shell=True))
def test_runs(clone, block):
    run("bash", "-euo", "pipefail", "-c", block, cwd=clone)


@pytest.mark.parametrize("block", blocks(in_shell=False))
def test_stands_in_an_example(block):
    """Every line of the block stands in one example, be it in a comment."""
    lines = [" ".join(line.split()).removeprefix("- ") for line in block.splitlines() if line.strip()]
    assert any(all(line in " ".join(example.split()) for line in lines) for example in EXAMPLES)
