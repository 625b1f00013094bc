"""Real containers: podman and runc, images FROM scratch, as restricted as Kubernetes can make them."""

import os
import shutil

from podman import APP_IMAGE, COPIED_IMAGE, DRAIN_SLEEP_IMAGE, WORK
from room import ROOT, TARGET, Room, run


def build():
    run("cargo", "build", "--locked", "--example=app", cwd=ROOT)


def make_images():
    # Where podman keeps what it knows; it goes away with the namespace.
    for directory in ("/var/lib", "/dev/shm"):
        run("mount", "-t", "tmpfs", "tmpfs", directory)
    os.environ |= {"STORAGE_DRIVER": "vfs", "CONTAINERS_CONF": "/dev/null"}
    WORK.mkdir()
    os.chdir(WORK)  # where conmon notes that a container ran out of memory
    shutil.copy(os.environ["DRAIN_SLEEP"], WORK / "drain-sleep")
    shutil.copy(TARGET / "x86_64-unknown-linux-musl/debug/examples/app", WORK)
    # The last stage of the Dockerfile, with a directory in place of the stage that compiles.
    run("buildah", "build", f"--build-context=build={WORK}", f"--tag={DRAIN_SLEEP_IMAGE}", ROOT)
    copied = f"COPY --from={DRAIN_SLEEP_IMAGE} /drain-sleep /drain-sleep\n"
    for image, copy in ((APP_IMAGE, ""), (COPIED_IMAGE, copied)):
        dockerfile = f'FROM scratch\nCOPY app /app\n{copy}ENTRYPOINT ["/app"]\n'
        run("buildah", "build", "--pull=never", "--file=-", f"--tag={image}", WORK, input=dockerfile)


ROOM = Room(
    packages={"buildah": "buildah", "nsenter": "util-linux", "podman": "podman", "runc": "runc"},
    build=build,
    isolated=True,
    inside=make_images,
    at_once=4,
)
