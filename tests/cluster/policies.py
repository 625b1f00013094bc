"""The files in examples/ that add the hook to whole namespaces, and what puts one of them in force."""

import dataclasses
import time

import kube
import kyverno
import parts
import up

ENABLED = {"drain-sleep": "enabled"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
NAME = "drain-sleep"  # of the volume and the init container that are added
IMAGE_VOLUME = {"name": NAME, "image": {"reference": up.DRAIN_SLEEP_IMAGE, "pullPolicy": "IfNotPresent"}}
EMPTY_DIR = {"name": NAME, "emptyDir": {"sizeLimit": "1Mi"}}
RESOURCES = {"cpu": "100m", "memory": "16Mi"}
# As the API server emulates Kubernetes 1.34: image volumes are off, and MutatingAdmissionPolicy is not there.
NO_IMAGE_VOLUMES = ("--emulated-version=1.34",)


@dataclasses.dataclass(frozen=True, eq=False)
class Policy:
    name: str
    file: str
    volume: dict
    change: tuple = ()  # of the file: what is replaced, and by what
    api_server: tuple = ()  # options

    @property
    def by_kyverno(self):
        return self.file == "kyverno.yaml"

    @property
    def manifest(self):
        text = (parts.ROOT / "examples" / self.file).read_text()
        if self.change:
            assert self.change[0] in text, f"the policy has no {self.change[0]}"
            text = text.replace(*self.change)
        return text

    def init_containers(self, arguments):
        """What is added before the others, where arguments are those of the first hook."""
        if self.volume != EMPTY_DIR:
            return []
        return [
            {
                "name": NAME,
                "image": up.DRAIN_SLEEP_IMAGE,
                "args": ["--install", "/drain", *arguments],
                "volumeMounts": [{"name": NAME, "mountPath": "/drain"}],
                "resources": {"limits": RESOURCES, "requests": RESOURCES},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }
        ]


WITH_IMAGE_VOLUME = ('- name: imageVolume\n      expression: "false"', '- name: imageVolume\n      expression: "true"')

CLUSTER = Policy("cluster.yaml", "cluster.yaml", IMAGE_VOLUME)
KYVERNO_VOLUME = Policy("kyverno.yaml, image volume", "kyverno.yaml", IMAGE_VOLUME, WITH_IMAGE_VOLUME)
KYVERNO_INSTALL = Policy("kyverno.yaml, init container", "kyverno.yaml", EMPTY_DIR, api_server=NO_IMAGE_VOLUMES)
ALL = (KYVERNO_INSTALL, KYVERNO_VOLUME, CLUSTER)

_in_force = None
_api_server = ()


def put_in_force(policy):
    """Return once new pods get the hook by this policy, and by no other."""
    global _in_force
    if _in_force is policy:
        return
    if _in_force:
        delete(_in_force.manifest)
        kyverno.stop()
    _in_force = None
    with_api_server(policy.api_server)
    if policy.by_kyverno:
        kyverno.start()
    apply(policy)
    kube.create_namespace("trial", ENABLED, exist_ok=True)
    wait_until_heeded(True, "trial")
    _in_force = policy


def with_api_server(options):
    global _api_server
    if _api_server != options:
        up.start_api_server(*options)
        _api_server = options


def apply(policy, text=None):
    """Apply the policy, or a text in its place. Kyverno takes none in the first seconds, before its certificate is there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return kube.apply(text or policy.manifest, "default")
        except RuntimeError as error:
            if not policy.by_kyverno or "failed calling webhook" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def delete(text):
    kube.kubectl("delete", "--filename=-", input=text)


def wait_until_heeded(expected, namespace):
    """Until a pod would get a hook there, or would get none."""

    def is_heeded():
        return bool(hooks_in(kube.create_pod(PLAIN, "trial", namespace, dry_run=True))) == expected

    up.wait_until(f"new pods get {'a' if expected else 'no'} hook", is_heeded)


PLAIN = {"spec": {"containers": [{"name": "app", "image": up.APP_IMAGE, "ports": [{"containerPort": 8080}]}]}}


def hooks_in(pod):
    """The commands of the hooks of drain-sleep, by container."""
    hooks = {}
    for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
        command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [""])
        if command[0].endswith("/drain-sleep"):
            hooks[container["name"]] = command
    return hooks
