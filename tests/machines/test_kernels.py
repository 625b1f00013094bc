"""A row is a boot of a kernel. The rows inside, of which it shows those that fail, are in init."""

import dataclasses
import functools
import json
import pathlib
import re
import shutil
import tempfile

import pytest
from room import ROOT, once, run

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = {"amd64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"}
MACHINES = {
    "amd64": ("qemu-system-x86_64", "-append", "console=ttyS0"),
    "arm64": ("qemu-system-aarch64", "-machine", "virt", "-cpu", "neoverse-n1", "-append", "console=ttyAMA0"),
}
MOST_SECONDS = 1200


@dataclasses.dataclass
class Kernel:
    architecture: str
    source: str  # an archive of Debian's, and a suite in it that is small and has the kernel
    package: str = ""
    is_short: bool = False  # one of each architecture: -m short

    @property
    def name(self):
        return f"{self.source.split()[1]}-{self.package or f'cloud-{self.architecture}'}"


KERNELS = (
    Kernel("amd64", "debian-security bullseye-security"),
    Kernel("amd64", "debian-security bookworm-security", is_short=True),
    Kernel("amd64", "debian-security trixie-security"),
    Kernel("amd64", "debian trixie-backports"),
    Kernel("arm64", "debian bullseye"),
    Kernel("arm64", "debian-security bookworm-security"),
    Kernel("arm64", "debian-security trixie-security", is_short=True),
    Kernel("arm64", "debian-security trixie-security", "arm64-16k"),
)


SHORT = pytest.mark.short
ROWS = [pytest.param(kernel, id=kernel.name, marks=SHORT if kernel.is_short else ()) for kernel in KERNELS]


@pytest.mark.parametrize("kernel", ROWS)
@pytest.mark.parametrize("parameters", ["", "ipv6.disable=1"], ids=["plain", "ipv6-switched-off"])
def test_kernel(kernel, parameters, system, tmp_path):
    files = once(f"linux-{kernel.name}", lambda folder: fetch_kernel(kernel, pathlib.Path(folder)))
    pack(files / "modules", tmp_path / "modules")
    initramfs = tmp_path / "initramfs"
    initramfs.write_bytes(system(kernel.architecture).read_bytes() + (tmp_path / "modules").read_bytes())
    log = tmp_path / "log"
    program, *options = MACHINES[kernel.architecture]
    run(
        *("setpriv", "--pdeathsig=KILL", program, *options[:-1], f"{options[-1]} panic=-1 quiet {parameters}"),
        *("-kernel", files / "vmlinuz", "-initrd", initramfs, "-m", "1G", "-smp", "1", "-icount", "shift=1,sleep=off"),
        *("-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{log}"),
        timeout=MOST_SECONDS,
    )
    told = log.read_text(errors="replace").replace("\r", "").split("\n")
    first = next((number for number, line in enumerate(told) if line.startswith("kernel ")), 0)
    print("\n".join(line for line in told[first:] if line))
    passed = sum(line.startswith("ok     ") for line in told)
    failed = [line for line in told if line.startswith("FAILED ")]
    assert "end of the rows" in told and passed and not failed, f"{passed} rows passed; {failed}"


# What the machines are made of.


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    """Gives what a machine of an architecture has, its kernel's modules aside: a part of an initramfs."""

    @functools.cache
    def packed(architecture):
        folder = tmp_path_factory.mktemp(architecture)
        fill(folder / "root", architecture)
        pack(folder / "root", folder / "packed")
        return folder / "packed"

    return packed


def fill(folder, architecture):
    target = TARGETS[architecture]
    command = ("cargo", "test", "--locked", "--release", "--no-run", f"--target={target}", "--message-format=json")
    built = [json.loads(line) for line in run(*command, cwd=ROOT).stdout.splitlines()]
    executables = [part for part in built if part.get("executable")]
    tests = [part["executable"] for part in executables if part["profile"]["test"]]
    (program,) = (part["executable"] for part in executables if part["target"]["kind"] == ["bin"])
    assert len(tests) == 3, tests

    busybox = once(f"busybox-{architecture}", lambda kept: fetch("busybox-static", "debian bookworm", architecture, pathlib.Path(kept)))
    (folder / "bin").mkdir(parents=True)
    shutil.copy(busybox / "bin/busybox", folder / "bin")
    (folder / "bin/sh").symlink_to("busybox")
    (folder / "sbin").symlink_to("bin")
    shutil.copy(HERE / "init", folder)
    (folder / "paths").write_text(f"PROGRAM='{program}'\nCHECKOUT='{ROOT}'\nTESTS='{' '.join(tests)}'\n")
    checkout = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    for file in (program, *tests, *(ROOT / name for name in checkout.split("\0") if name)):
        place = folder / pathlib.Path(file).relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)


def pack(folder, file):
    """Make a part of an initramfs, of which the kernel takes several, one after the other."""
    run("sh", "-c", 'cd "$1" && find . | cpio --quiet --create --format=newc --owner=0:0 | gzip -1 >"$2"', "sh", folder, file)


def fetch_kernel(kernel, folder):
    with tempfile.TemporaryDirectory() as unpacked:
        package = f"linux-image-{kernel.package or 'cloud-' + kernel.architecture}"
        files = fetch(package, kernel.source, kernel.architecture, pathlib.Path(unpacked))
        (vmlinuz,) = (file for file in files.rglob("vmlinuz*") if file.is_file())
        shutil.copy(vmlinuz, folder / "vmlinuz")
        (tcp_diag,) = files.rglob("tcp_diag.ko*")
        modules = folder / "modules/lib/modules" / tcp_diag.parents[3].name
        modules.mkdir(parents=True)
        for name in ("inet_diag", "tcp_diag"):
            (module,) = files.rglob(f"{name}.ko*")
            shutil.copy(module, modules)
            if module.suffix == ".xz":
                run("unxz", modules / module.name)


def fetch(package, source, architecture, folder):
    """Unpack a package of Debian's, for either architecture; where it stands for the newest kernel, that one."""
    with tempfile.TemporaryDirectory() as name:
        apt = pathlib.Path(name)
        for needed in ("lists/partial", "cache/archives/partial"):
            (apt / needed).mkdir(parents=True)
        (apt / "status").touch()
        signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        (apt / "sources.list").write_text(f"deb {signed} http://deb.debian.org/{source} main\n")
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Dir::Cache": apt / "cache",
            "Dir::Etc::SourceList": apt / "sources.list",
            "Dir::Etc::SourceParts": "-",
            "Dir::State::Lists": apt / "lists",
            "Dir::State::status": apt / "status",
        }
        options = [f"--option={setting}={value}" for setting, value in settings.items()]
        run("apt-get", *options, "--quiet=2", "update")
        needed = run("apt-cache", *options, "depends", "--recurse", "--important", package).stdout
        # The newest kernels have a package each for their image and their modules.
        kernel = set(re.findall(r"^linux-(?:image|binary|modules)-\d\S+", needed, re.MULTILINE))
        run("apt-get", *options, "download", *(kernel or [package]), cwd=apt)
        for file in apt.glob("*.deb"):
            run("dpkg-deb", "--extract", file, folder)
    return folder
