"""Each property is a row. Where it does not hold, the row shows what failed and the input under which it did."""

import os
import pathlib
import re
import subprocess

import pytest
from room import ROOT

HERE = pathlib.Path(__file__).parent
FUZZER = ROOT / "target/fuzz/x86_64-unknown-linux-gnu/release/fuzz"
CORPUS = HERE / "corpus"
# Only new edges of the program make an input worth keeping, not how often it took them.
MERGE = ("-merge=1", "-use_counters=0")


@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.iterdir()))
def test_holds(name, tmp_path, pytestconfig):
    kept, found = tmp_path / "kept", tmp_path / "found"
    kept.mkdir()
    found.mkdir()
    for number, line in enumerate((CORPUS / name).read_bytes().splitlines()):
        data = re.sub(rb"\\x(..)", lambda escape: bytes([int(escape[1], 16)]), line)
        (kept / str(number)).write_bytes(data)
    said = fuzz(name, tmp_path, pytestconfig.option.seconds, found, kept)
    assert re.search(r"number_of_executed_units: [1-9]", said)
    if pytestconfig.option.keep:
        fuzzer(name, tmp_path, *MERGE, kept, found)
        inputs = sorted((file.read_bytes() for file in kept.iterdir()), key=lambda data: (len(data), data))
        lines = [re.sub(rb"[^ -\[\]-~]", lambda byte: b"\\x%02x" % ord(byte[0]), data) + b"\n" for data in inputs]
        (CORPUS / name).write_bytes(b"".join(lines))


def test_what_does_not_hold_is_found(tmp_path):
    with pytest.raises(AssertionError, match=r"under \[b'drain"):
        fuzz("nothing is a drain", tmp_path, 60, tmp_path)


def fuzz(name, work, seconds, *corpora):
    dictionary = HERE / "dictionaries" / name
    options = [f"-dict={dictionary}"] if dictionary.exists() else []
    return fuzzer(name, work, f"-max_total_time={seconds}", "-timeout=10", "-print_final_stats=1", *options, *corpora)


def fuzzer(name, work, *arguments):
    """Run the fuzzer on a property, and return what it says."""
    ended = subprocess.run(
        [FUZZER, f"-artifact_prefix={work}/artifact-", *map(str, arguments)],
        env=os.environ | {"PROPERTY": name},
        stderr=subprocess.PIPE,
    )
    said = ended.stderr.decode(errors="replace")
    failing = [file.read_bytes() for file in pathlib.Path(work).glob("artifact-*")]
    panic = re.search(r"panicked at.*?(?=\nnote:|\nstack|\n==)", said, re.DOTALL)
    assert ended.returncode == 0, f"{panic[0] if panic else said[-2000:]}\nunder {failing}"
    return said
