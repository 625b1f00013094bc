"""The program against servers that others wrote, and against the kubelet's own probers."""

import os
import pathlib

import isolation
import kubelet_probe
import pytest
import tables
from room import Room, go_programs, node_packages, python_programs

HERE = pathlib.Path(__file__).parent


def build():
    """Leaves word in the environment of where the parts are."""
    os.environ["PEERS_PYTHON"] = str(python_programs("peers-python", HERE / "requirements.txt") / "python")
    os.environ["PEERS_NODE"] = str(node_packages("peers-node", HERE / "nodeserver"))
    os.environ["PEERS_GOSERVER"] = str(go_programs(HERE / "goserver") / "goserver")
    os.environ["PEERS_KUBELET"] = str(go_programs(HERE / "kubelet") / "kubelet")
    tables.build_reader()


ROOM = Room(
    packages={
        "h2o": "h2o",
        "haproxy": "haproxy",
        "ip": "iproute2",
        "nghttpd": "nghttp2-server",
        "nginx": "nginx-light",
        "node": "nodejs",
        "npm": "npm",
        "openssl": "openssl",
        "/usr/lib/python3*/ensurepip": "python3-venv",
        "setpriv": "util-linux",
    },
    build=build,
    isolated=True,
    at_once=16,  # rows wait most of the time
)


@pytest.fixture(autouse=True, scope="session")
def network():
    """Each process that runs rows has ports of its own."""
    with isolation.own_network():
        yield


@pytest.fixture(scope="session")
def kubelet(network):
    return kubelet_probe.Kubelet()
