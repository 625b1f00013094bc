"""Every manifest in examples/, and what kustomize makes of the component: the API of Kubernetes takes it, and so does the program."""

import sys

from room import Room, once, run

# It carries the schemas that the versions of Kubernetes publish.
VALIDATOR = "kubernetes-validate==1.37.0"


def build():
    def make(folder):
        run(sys.executable, "-m", "venv", folder)
        run(f"{folder}/bin/pip", "install", "--quiet", VALIDATOR)

    (packages,) = once("examples", make, VALIDATOR).glob("lib/python3*/site-packages")
    sys.path.append(str(packages))


ROOM = Room(packages={"/usr/lib/python3*/ensurepip": "python3-venv"}, build=build)
