"""examples/README.md, run as it stands: a newcomer's five minutes, and what a restart costs without the label and with it."""

import os
import pathlib
import re

import parts
import policies
import pytest
import router
import up

README = (parts.ROOT / "examples/README.md").read_text()
IMAGE = "example.com/drain-sleep-try:1"


@pytest.fixture(scope="module")
def kube_proxy():
    """A cluster as a newcomer has it: its images can be pulled, and services have addresses."""
    programs = {name: pathlib.Path(os.environ["DRAIN_SLEEP_EXAMPLES"]) / name for name in ("app", "load")}
    up.build_image(IMAGE, programs, ["/app"])
    policies.put_in_force(policies.CLUSTER)
    with router.kube_proxy():
        yield


def commands(heading):
    """The blocks of the section that are to be pasted into a shell."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert blocks, f"no commands under {heading}"
    return blocks


def paste(block):
    return parts.run("bash", "-euc", block, cwd=parts.ROOT).stdout


def test_five_minutes(kube_proxy):
    output = "".join(map(paste, commands("Five minutes")))
    log = re.findall(r"^(drain-sleep|app): (.*)", output, re.MULTILINE)
    told = [line for _, line in log]
    print(output)
    assert [who for who, _ in log][-2:] == ["drain-sleep", "app"], output
    assert re.fullmatch(r"drained after \S+", told[-2]) and told[-1] == "SIGTERM", output


@pytest.mark.long
def test_see_what_it_saves(kube_proxy):
    output = "".join(map(paste, commands("See what it saves")))
    print(output)
    failed = [int(failed) for failed in re.findall(r"^(\d+) of 12000 failed$", output, re.MULTILINE)]
    assert [bool(count) for count in failed] == [True, False], output
