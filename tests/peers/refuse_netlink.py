"""Runs a command under a seccomp filter that refuses netlink sockets: `refuse_netlink.py ERRNO COMMAND...`."""

import os
import socket
import sys

import seccomp

profile = seccomp.SyscallFilter(seccomp.ALLOW)
profile.add_rule(seccomp.ERRNO(int(sys.argv[1])), "socket", seccomp.Arg(0, seccomp.EQ, socket.AF_NETLINK))
profile.load()
os.execv(sys.argv[2], sys.argv[2:])
