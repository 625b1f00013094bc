"""The system fails under the program, and its peers are hostile: no drain is cut short, and none is held past its DURATION."""

import tables
from room import Room

ROOM = Room(
    packages={
        "bindfs": "bindfs",
        "chroot": "coreutils",
        "ip": "iproute2",
        "prlimit": "util-linux",
        "strace": "strace",
        "/usr/lib/python3/dist-packages/seccomp.*.so": "python3-seccomp",
    },
    build=tables.build_reader,
    isolated=True,
    at_once=16,  # rows wait most of the time
)
