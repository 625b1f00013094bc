"""Runs a command under a seccomp profile that allows what is named, and refuses the rest as containers' profiles do, with EPERM:
`with_seccomp.py CALL,CALL… COMMAND…`. For Debian's own Python, which has python3-seccomp."""

import errno
import os
import sys

import seccomp

profile = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
for name in sys.argv[1].split(","):
    profile.add_rule(seccomp.ALLOW, name)
profile.load()
os.execv(sys.argv[2], sys.argv[2:])
