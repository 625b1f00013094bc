"""What the Dockerfile gives, what a release has, and whether the program for arm64 runs, by qemu-user."""

import json
import os
import re
import shutil

import pytest
from program import Drain
from room import ROOT, run

ARCHITECTURES = ("amd64", "arm64")
SOURCE_DATE_EPOCH = "1700000000"
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
each = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


def release(source, work, umask=0o022, **environment):
    """Copies the work tree, and makes a release there."""
    files = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    for file in filter(None, files.split("\0")):
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, source / file)
    settings = {"SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH, "CARGO_TARGET_DIR": f"{work}/target"} | environment
    run(source / ".ci/release", work / "release", env=os.environ | settings, umask=umask)
    return work / "release"


@pytest.fixture(scope="session")
def source(work):
    return work / "source"


@pytest.fixture(scope="session")
def released(source, work):
    return release(source, work)


def test_a_release_has_both_programs_the_image_a_bill_of_materials_and_their_sums(released, work):
    expected = {"drain-sleep-linux-amd64", "drain-sleep-linux-arm64", "drain-sleep-oci.tar", "drain-sleep.cdx.json"}
    assert {file.name for file in released.iterdir()} == expected | {"SHA256SUMS"}
    checked = run("sha256sum", "--strict", "--check", "SHA256SUMS", cwd=released).stdout
    assert {line.removesuffix(": OK") for line in checked.splitlines()} == expected
    bill = (released / "drain-sleep.cdx.json").read_text()
    assert str(work) not in bill and [part["name"] for part in json.loads(bill)["components"]] == ["humantime"], bill


def test_a_release_in_another_place_with_another_umask_cargo_home_and_rustflags_has_the_same_bytes(released, tmp_path):
    elsewhere = tmp_path / "in another place" / "of a longer name"
    settings = {"RUSTFLAGS": "-Copt-level=1", "CARGO_HOME": f"{tmp_path}/cargo"}
    run("diff", "--recursive", released, release(elsewhere, tmp_path, umask=0o077, **settings))


@each
def test_the_dockerfile_gives_the_releases_program_alone(docker, source, released, architecture, tmp_path):
    docker("build", "--network=host", f"--platform=linux/{architecture}", f"--output={tmp_path}/image", source)
    (program,) = (tmp_path / "image").iterdir()
    assert program.name == "drain-sleep" and program.stat().st_mode & 0o7777 == 0o755
    run("cmp", program, released / f"drain-sleep-linux-{architecture}")


@each
def test_the_dockerfile_gives_an_image_of_the_releases_settings(docker, source, released, architecture, tmp_path):
    docker("build", "--network=host", f"--platform=linux/{architecture}", f"--tag={architecture}", source)
    (made,) = json.loads(docker("image", "inspect", architecture).stdout)
    assert made["Architecture"] == architecture
    run("tar", "-xf", released / "drain-sleep-oci.tar", "-C", tmp_path)
    config, layers = images(tmp_path)[architecture]
    assert len(layers) == 1 and config["config"]["User"] == "65532:65532", config
    assert config["config"]["Entrypoint"] == ["/drain-sleep"], config
    labels = config["config"]["Labels"]
    labels.pop("io.buildah.version", None)
    assert labels["org.opencontainers.image.version"] == VERSION
    for setting in ("User", "Entrypoint", "Labels"):
        assert made["Config"][setting] == config["config"][setting]


def test_the_dockerfile_gives_the_app_and_the_load_of_examples_try(docker, source, released, tmp_path):
    docker("build", "--network=host", "--target=try", "--platform=linux/amd64", f"--output={tmp_path}/image", source)
    programs = {file.name: file.stat().st_mode & 0o7777 for file in (tmp_path / "image").iterdir()}
    assert programs == {"app": 0o755, "load": 0o755}


def images(layout):
    """By architecture: each image's configuration, and its layers."""

    def blob(descriptor):
        return json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_text())

    index = json.loads((layout / "index.json").read_text())
    manifests = blob(index["manifests"][0])["manifests"]
    return {m["platform"]["architecture"]: (blob(blob(m)["config"]), blob(m)["layers"]) for m in manifests}


def test_an_architecture_that_the_program_is_not_for_is_an_error_that_names_it(docker, source, released):
    with pytest.raises(AssertionError, match="no drain-sleep for the architecture 's390x'"):
        docker("build", "--network=host", "--platform=linux/s390x", source)


ARM64 = ("qemu-aarch64-static",)


def test_the_program_for_arm64_sleeps(released):
    program = released / "drain-sleep-linux-arm64"
    assert run(*ARM64, program, "--version").stdout == f"drain-sleep {VERSION}\n"
    with Drain("2s", through=ARM64, program=program) as drain:
        drain.expect("slept", at_least=2)
