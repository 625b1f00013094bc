"""What the cluster is made of: packages of Debian, programs built from Go modules, and the program under test."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import room
from room import run

HERE = pathlib.Path(__file__).parent
ROOT = room.ROOT
CNI_PLUGINS = "/usr/lib/cni"

# A program, and the package that has it.
PACKAGES = {
    "buildah": "buildah",
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "iptables": "iptables",
    "openssl": "openssl",
    "runc": "runc",
    f"{CNI_PLUGINS}/bridge": "containernetworking-plugins",
}

# Modules whose `tool` lines are built, and the variable that holds the version they report.
MODULES = {
    "parts/containerd": ("github.com/containerd/containerd/v2", "github.com/containerd/containerd/v2/version.Version"),
    "parts/kubernetes": ("k8s.io/kubernetes", "k8s.io/component-base/version.gitVersion"),
    "parts/skipper": ("github.com/zalando/skipper", "main.version"),
    "parts/vegeta": ("github.com/tsenart/vegeta/v12", "main.Version"),
}


@dataclasses.dataclass
class Release:
    """Programs out of a module whose own go.mod and go.sum count, since they replace what they require."""

    folder: str  # in parts/: its go.mod and go.sum pin the module
    path: str
    packages: tuple  # of the programs
    lacks: str = None  # a file that a program embeds and the module lacks
    keeps: tuple = ()  # files and folders of the module that are put beside the programs


KYVERNO_RESOURCES = "config/install-latest-testing.yaml"
KYVERNO = Release("kyverno", "github.com/kyverno/kyverno", ("./cmd/kyverno",), keeps=(KYVERNO_RESOURCES,))


def install(kubernetes=None):
    """Install and build what is missing, and put it on PATH. `kubernetes` is a version other than the pinned one. Returns the app
    whose pods are drained."""
    if os.geteuid() != 0:
        sys.exit("cluster: only root may make the namespaces that this runs in")
    if not shutil.which("go"):
        sys.exit("cluster: Go is missing, which builds Kubernetes: see https://go.dev/dl/")
    room.install_packages(PACKAGES)
    modules = dict(MODULES)
    if kubernetes:
        modules[other_kubernetes(kubernetes)] = modules.pop("parts/kubernetes")
    folders = [build_module(module, *version) for module, version in modules.items()]
    folders.append(build_release(KYVERNO))
    os.environ["PATH"] = ":".join([*map(str, folders), os.environ["PATH"]])
    return room.go_programs(HERE / "app", "-ldflags=-s -w") / "app"


def other_kubernetes(version):
    """A folder with a module that builds this version of Kubernetes. It replaces and builds what the pinned one does."""
    pinned = (HERE / "parts/kubernetes/go.mod").read_text()
    blocks = re.findall(r"^(?:tool|replace) \(\n.*?^\)\n", pinned, re.MULTILINE | re.DOTALL)
    go = re.match(r"module .*?(?=require)", pinned, re.DOTALL)[0]
    staging = re.sub(r"(?<==> )(\S+) v\S+", rf"\1 v0.{version.removeprefix('1.')}", "\n".join(blocks))

    def make(folder):
        (pathlib.Path(folder) / "go.mod").write_text(f"{go}require k8s.io/kubernetes v{version}\n\n{staging}")
        run("go", "mod", "tidy", cwd=folder)

    return room.once(f"module-kubernetes-{version}", make, staging)


def build_module(module, path, version_variable):
    """Build the tools of a Go module and return the folder of its programs, which is kept for the next time."""
    source = HERE / module
    version = re.search(rf"{path} (v\S+)", (source / "go.mod").read_text())[1]
    flags = f"-s -w -X {version_variable}={version}"

    def make(folder):
        command = ("nice", "go", "build", "-trimpath", "-ldflags", flags, "-o", f"{folder}/", "tool")
        run(*command, cwd=source, env=os.environ | {"CGO_ENABLED": "0"})

    return room.once(source.name, make, source, run("go", "version").stdout, flags)


def build_release(release):
    """Build the programs in a copy of their module, and return the folder that they are in."""
    source = HERE / "parts" / release.folder

    def make(target):
        download = run("go", "mod", "download", "-json", release.path, cwd=source)
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(json.loads(download.stdout)["Dir"], copy, dirs_exist_ok=True, copy_function=shutil.copyfile)
            if release.lacks:
                (pathlib.Path(copy) / release.lacks).parent.mkdir(parents=True)
                (pathlib.Path(copy) / release.lacks).touch()
            command = ("nice", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{target}/", *release.packages)
            run(*command, cwd=copy, env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"})
            for kept in release.keeps:
                run("cp", "--recursive", pathlib.Path(copy) / kept, target)

    return room.once(release.folder, make, source / "go.mod", source / "go.sum", run("go", "version").stdout)


def say(text):
    print(f"cluster: {text}", flush=True)
