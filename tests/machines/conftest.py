"""The program and every Rust test on real kernels of Debian, in emulated machines.

Each machine has the release program of its architecture, and nothing else but BusyBox and the rows in init. The kernels are kept
in the user's cache. QEMU counts instructions instead of time, so that what sleeps takes no time here and what computes takes none
there: a slow host fails no row."""

import os

from room import Room

ROOM = Room(
    packages={
        "cpio": "cpio",
        "qemu-system-aarch64": "qemu-system-arm",
        "qemu-system-x86_64": "qemu-system-x86",
    },
    needs_program=False,  # each architecture has its own
    at_once=os.cpu_count(),
)
