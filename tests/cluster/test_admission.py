"""Which pods the files of policies.py change, and how: each row is a pod that goes in, and the hooks with which it comes out.

A row's pod is created twice: in a namespace without the label, and in one that has it. What the policy is to add is looked
for in the second, and taken out again: then the two must be equal. A scheduling gate keeps the pods from running; the files
in labelled/ are for those that run, and for what makes pods.
"""

import base64
import contextlib
import copy
import dataclasses
import http.server
import itertools
import json
import re
import ssl
import threading
import time

import kube
import kyverno
import parts
import policies
import pytest
import room
import up
from policies import CLUSTER, ENABLED, IMAGE_VOLUME, KYVERNO_INSTALL, RESTRICTED, hooks_in

CONTAINERS_ADDED = {"containers-added": "enabled"}

MOUNT = {"name": policies.NAME, "mountPath": "/drain", "readOnly": True}


@dataclasses.dataclass
class Row:
    label: str
    pod: dict  # what is not usual in it: spec and metadata
    hooks: dict  # the commands that are to be added, by container
    namespace: dict = dataclasses.field(default_factory=dict)  # the labels of both namespaces


def pod(*containers, labels=None, annotations=None, **spec):
    metadata = {"labels": labels or {}, "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"containers": containers, **spec}}


def app(*ports, name="app", **fields):
    """A container; a port is a number, or a number and a protocol such as 53/UDP."""
    declared = []
    for port in ports:
        number, _, protocol = str(port).partition("/")
        declared.append({"containerPort": int(number)} | ({"protocol": protocol} if protocol else {}))
    return {"name": name, "image": up.APP_IMAGE} | ({"ports": declared} if ports else {}) | fields


def hook(*ports, duration="20s", least="5s", log=("--log-file=/proc/1/fd/2",)):
    watched = [f"--until-idle={port}" for port in ports]
    return ["/drain/drain-sleep", f"--min={least}", *watched, *log, "--", duration]


def mount(path):
    return {"name": "data", "mountPath": path}


DATA = {"volumes": [{"name": "data", "emptyDir": {}}]}
SLEEP = {"preStop": {"sleep": {"seconds": 3}}}
RESTRICTED_CONTAINER = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
}
RESTRICTED_POD = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
}


# Webhooks are called by the order of their names, those of Kyverno's among them.
EARLY_WEBHOOK, LATE_WEBHOOK = "added-by-webhook", "zz-added-by-webhook"


def adding_policies(policy):
    """The API server goes through policies by their names, and then through webhooks. Not every API server has policies."""
    return () if policy.api_server else ("added-before", "zz-added-after")


def table(policy):
    usual, unchanged = {"app": hook(8080)}, {}
    installers = policy.init_containers(hook(8080)[1:])
    return [
        Row("one port", pod(app(8080)), usual),
        Row("several ports", pod(app(8080, 8443, 9090)), {"app": hook(8080, 8443, 9090)}),
        Row("a port under two names", pod(app(**two_names(8080))), usual),
        Row("ports of TCP and of UDP", pod(app("53/UDP", "53/TCP", "443/UDP", 9153)), {"app": hook(53, 9153)}),
        Row("a port of the host", pod(app(ports=[{"containerPort": 8080, "hostPort": 80}])), usual),
        Row("UDP and SCTP alone", pod(app("53/UDP", "36412/SCTP")), unchanged),
        Row("no port", pod(app()), unchanged),
        Row(
            "containers with ports and without",
            pod(app(name="log"), app(8080), app("53/UDP", name="dns"), app(9000, 9001, name="proxy")),
            usual | {"proxy": hook(9000, 9001)},
        ),
        Row("a container beside one with a preStop", pod(app(80, name="old", lifecycle=SLEEP), app(8080)), usual),
        Row("preStop: sleep", pod(app(8080, lifecycle=SLEEP)), unchanged),
        Row("preStop: exec", pod(app(8080, lifecycle={"preStop": {"exec": {"command": ["/x"]}}})), unchanged),
        Row("preStop: httpGet", pod(app(8080, lifecycle={"preStop": {"httpGet": {"port": 8080}}})), unchanged),
        Row("postStart", pod(app(8080, lifecycle={"postStart": {"exec": {"command": ["/x"]}}})), usual),
        Row("everything there, and empty", pod(app(8080, lifecycle={}, volumeMounts=[]), volumes=[]), usual),
        Row("a volume and a mount", pod(app(8080, volumeMounts=[mount("/data")]), **DATA), usual),
        Row("a volume and no mount", pod(app(8080), **DATA), usual),
        *(
            Row(f"something else at {path}", pod(app(8080, volumeMounts=[mount(path)]), **DATA), unchanged)
            for path in ("/drain", "/drain/", "drain", "./drain", "//drain", "/drain/data", "/./drain/data")
        ),
        Row(
            "one of two containers has something else at /drain",
            pod(app(9000, name="proxy", volumeMounts=[mount("/drain")]), app(8080), **DATA),
            usual,
        ),
        *(
            Row(f"something at {path}", pod(app(8080, volumeMounts=[mount(path)]), **DATA), usual)
            for path in ("/drainage", "/data/drain", "/.drain")
        ),
        Row("the name taken by a volume", pod(app(8080), volumes=[{"name": "drain-sleep", "emptyDir": {}}]), unchanged),
        *(
            Row("the name taken by another image", pod(app(8080), volumes=[other]), unchanged)
            for other in [IMAGE_VOLUME | {"image": {"reference": "example.com/other:1"}}]
            if policy.volume is IMAGE_VOLUME
        ),
        Row(
            "the name taken by an init container",
            pod(app(8080), initContainers=[app(name=policies.NAME)]),
            unchanged if installers else usual,
        ),
        Row("all there by hand", pod(app(8080), volumes=[policy.volume], initContainers=installers), usual),
        Row("hostNetwork", pod(app(ports=[{"containerPort": 80, "hostPort": 80}]), hostNetwork=True), unchanged),
        Row("Linux", pod(app(8080), os={"name": "linux"}, nodeSelector={"kubernetes.io/os": "linux"}), usual),
        Row("Windows", pod(app(8080), os={"name": "windows"}), unchanged),
        Row("Windows by its nodes", pod(app(8080), nodeSelector={"kubernetes.io/os": "windows"}), unchanged),
        Row("other nodes", pod(app(8080), nodeSelector={"disk": "ssd"}), usual),
        *(
            Row(f"{grace} s of grace", pod(app(8080), terminationGracePeriodSeconds=grace), unchanged)
            for grace in (0, 14)
        ),
        *(
            Row(
                f"{grace} s of grace",
                pod(app(8080), terminationGracePeriodSeconds=grace),
                {"app": hook(8080, duration=duration)},
            )
            for grace, duration in ((15, "5s"), (30, "20s"), (60, "50s"), (130, "120s"), (3600, "120s"))
        ),
        Row("opted out", pod(app(8080), labels={"drain-sleep": "disabled"}), unchanged),
        Row("not quite opted out", pod(app(8080), labels={"drain-sleep": "no"}), usual),
        Row(
            "a mirror of a static pod",
            pod(app(8080), annotations={"kubernetes.io/config.mirror": "x"}, nodeName="another"),
            unchanged,
        ),
        Row("other annotations", pod(app(8080), annotations={"example.com/duration": "9s"}), usual),
        Row("its own duration", pod(app(8080), annotations={"drain-sleep/duration": "25s"}), {"app": hook(8080, duration="25s")}),
        Row("its own minimum", pod(app(8080), annotations={"drain-sleep/min": "12s"}), {"app": hook(8080, least="12s")}),
        Row(
            "its own duration, in too short a grace period",
            pod(app(8080), annotations={"drain-sleep/duration": "5s"}, terminationGracePeriodSeconds=10),
            unchanged,
        ),
        *(
            Row(
                f"{value!r} for both",
                pod(app(8080), annotations={"drain-sleep/duration": value, "drain-sleep/min": value}),
                {"app": hook(8080, duration=value, least=value)},
            )
            for value in ("", "soon", "--help", "20s --until-idle 9", "$(DRAIN)", "'5s'", '"', "\\", "ü\n")
        ),
        Row("processes shared", pod(app(8080), shareProcessNamespace=True), {"app": hook(8080, log=())}),
        Row("processes of the node", pod(app(8080), hostPID=True), {"app": hook(8080, log=())}),
        Row(
            "init containers and native sidecars with ports",
            pod(app(8080), initContainers=[app(9000, name="once"), app(9001, name="proxy", restartPolicy="Always")]),
            usual,
        ),
        Row("restricted", pod(app(8080, **RESTRICTED_CONTAINER), **RESTRICTED_POD), usual, RESTRICTED),
        Row(
            "admitted twice",
            pod(app(8080)),
            usual
            | {name: hook(9000) for name in (*adding_policies(policy), EARLY_WEBHOOK)}
            # Kyverno's webhook is not called again.
            | ({} if policy.by_kyverno else {LATE_WEBHOOK: hook(9000)}),
            CONTAINERS_ADDED,
        ),
        Row(
            "a large pod",
            pod(*(large(app(*range(8000, 8010), name=f"app-{i}")) for i in range(30))),
            {f"app-{i}": hook(*range(8000, 8010)) for i in range(30)},
        ),
    ]


def two_names(port):
    return {"ports": [{"name": name, "containerPort": port} for name in ("http", "metrics")]}


def large(container):
    return container | {"env": [{"name": f"VARIABLE_{i}", "value": "x" * 100} for i in range(200)]}


NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def namespaces():
    """Two namespaces with the row's labels: the second has the policy's as well. There is a pair for each set of labels."""
    pairs = {}

    def pair(labels):
        key = str(labels)
        if key not in pairs:
            pairs[key] = f"admission-{len(pairs)}-plain", f"admission-{len(pairs)}-labelled"
            for name, more in zip(pairs[key], ({}, ENABLED)):
                kube.create_namespace(name, labels | more)
        return pairs[key]

    yield pair
    for names in pairs.values():
        kube.kubectl("delete", "namespace", "--wait=false", *names)


@pytest.mark.parametrize(
    "policy, row", [room.row(f"{policy.name}, {row.label}", policy, row) for policy in policies.ALL for row in table(policy)]
)
def test_admission(policy, row, namespaces):
    policies.put_in_force(policy)
    with contextlib.ExitStack() as added:
        if row.namespace == CONTAINERS_ADDED:
            for name in adding_policies(policy):
                added.enter_context(applied(policy_that_adds(name)))
            for name in (EARLY_WEBHOOK, LATE_WEBHOOK):
                added.enter_context(webhook_that_adds(name))
            plain_namespace, _ = namespaces(row.namespace)
            up.wait_until("the containers are added", lambda: containers_are_added(policy, plain_namespace))
        name = f"row-{next(NUMBERS)}"
        plain, labelled = (kube.create_pod(row.pod, name, namespace) for namespace in namespaces(row.namespace))
    hooks = hooks_in(labelled)
    assert hooks == row.hooks
    there_by_hand = policy.volume in plain["spec"].get("volumes", [])
    before = without_hooks(labelled["spec"], hooks, None if there_by_hand else policy)
    assert before == without_hooks(plain["spec"], {}, None)
    assert labelled["metadata"].get("annotations") == plain["metadata"].get("annotations")


def without_hooks(spec, hooks, policy):
    """What a pod was before these hooks, their mounts and what is mounted were added; whether an empty list is there or not."""
    spec = copy.deepcopy(spec)
    if hooks and policy:
        spec["volumes"].remove(policy.volume)
        tried, *_ = hooks.values()
        for expected in policy.init_containers([] if "$(" in "".join(tried) else tried[1:]):
            added = spec["initContainers"].pop(0)
            assert added | expected == added
    for container in spec["containers"]:
        if container["name"] in hooks:
            container["volumeMounts"].remove(MOUNT)
            del container["lifecycle"]["preStop"]
        drop_empty(container, "volumeMounts", "lifecycle")
    drop_empty(spec, "volumes", "initContainers")
    return spec


def drop_empty(mapping, *keys):
    for key in keys:
        if not mapping.get(key):
            mapping.pop(key, None)


ADMISSION = "admissionregistration.k8s.io/v1"
PODS = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
WHERE_ADDED = {"namespaceSelector": {"matchLabels": CONTAINERS_ADDED}}


def policy_that_adds(name):
    """Another policy of the cluster's, which adds a container."""
    expression = f"""[JSONPatch{{op: "add", path: "/spec/containers/-", value: Object.spec.containers{{
        name: "{name}", image: "{up.APP_IMAGE}", ports: [Object.spec.containers.ports{{containerPort: 9000}}]}}}}]"""
    policy = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": PODS},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    binding = {"policyName": name, "matchResources": WHERE_ADDED}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
            for kind, spec in (("MutatingAdmissionPolicy", policy), ("MutatingAdmissionPolicyBinding", binding))
        ],
    }


def containers_are_added(policy, namespace):
    return len(trial_pod(namespace)["spec"]["containers"]) == 1 + len(adding_policies(policy)) + 2


@contextlib.contextmanager
def applied(manifest):
    kube.apply(json.dumps(manifest), "default")
    yield
    policies.delete(json.dumps(manifest))


@contextlib.contextmanager
def webhook_that_adds(name):
    """A webhook that adds a container, as those of service meshes do."""

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            patch = [{"op": "add", "path": "/spec/containers/-", "value": app(9000, name=name)}]
            response = {
                "uid": request["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
            }
            self.send_response(200)
            self.end_headers()
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
            self.wfile.write(json.dumps(review).encode())

        def log_message(self, *_):
            pass

    certificate = room.certificate()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        webhook = {
            "name": "webhook.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "rules": PODS,
            "clientConfig": {
                "url": f"https://127.0.0.1:{server.server_port}",
                "caBundle": base64.b64encode((certificate / "cert.pem").read_bytes()).decode(),
            },
        }
        configuration = {
            "apiVersion": ADMISSION,
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [webhook | WHERE_ADDED],
        }
        with applied(configuration):
            yield
        server.shutdown()


MISTAKES = {
    "a condition that fails": ("object.spec.?hostNetwork.orValue(false)", "object.spec.containers[9].tty"),
    "an expression that fails": ("variables.grace - 10", "10 / (variables.grace - 30)"),
    "a patch that cannot be applied": ('"/spec/volumes/-"', '"/spec/volume/-"'),
}


def copy_of(policy, name, old="", new=""):
    """The policy under another name and label, and with a mistake in it."""
    assert old in policy.manifest, f"the policy has no {old}"
    text = policy.manifest.replace(old, new) if old else policy.manifest
    text = re.sub(r"(?m)^(  name|  policyName): drain-sleep$", rf"\1: {name}", text)
    return text.replace("{drain-sleep: enabled}", f"{{{name}: enabled}}")


@pytest.fixture
def namespace():
    """One with a label of its own, which is its name."""
    name = f"mistakes-{next(NUMBERS)}"
    kube.create_namespace(name, {name: "enabled"})
    return name


def trial_pod(namespace):
    return kube.create_pod(policies.PLAIN, "trial", namespace, dry_run=True)


@pytest.mark.parametrize("policy", (pytest.param(KYVERNO_INSTALL, marks=pytest.mark.long), CLUSTER))
@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_pod_is_stopped_by(mistake, policy, namespace):
    """The mistake is one that matters, since with another failurePolicy the pod is refused."""
    policies.put_in_force(policy)
    text = copy_of(policy, namespace, *MISTAKES[mistake])

    def trial():
        try:
            return trial_pod(namespace)
        except RuntimeError:
            return None

    policies.apply(policy, text.replace("failurePolicy: Ignore", "failurePolicy: Fail"))
    up.wait_until("the mistake is heeded", lambda: not trial())
    policies.apply(policy, text)
    up.wait_until("pods are created all the same", trial)
    assert not hooks_in(trial())
    policies.delete(text)


@pytest.mark.parametrize("policy", (KYVERNO_INSTALL, CLUSTER))
def test_a_mistyped_name_is_refused_when_the_policy_is_applied(policy, namespace):
    policies.put_in_force(policy)
    with pytest.raises(RuntimeError, match="grade"):
        policies.apply(policy, copy_of(policy, namespace, "variables.grace", "variables.grade"))


@pytest.mark.parametrize("policy", (pytest.param(KYVERNO_INSTALL, marks=pytest.mark.long), CLUSTER))
def test_nothing_is_changed_once_the_policy_is_deleted(policy, namespace):
    policies.put_in_force(policy)
    text = copy_of(policy, namespace)
    policies.apply(policy, text)
    policies.wait_until_heeded(True, namespace)
    policies.delete(text)
    policies.wait_until_heeded(False, namespace)


@pytest.mark.parametrize("policy", (KYVERNO_INSTALL, CLUSTER))
def test_a_kustomization_puts_in_another_image(policy, tmp_path):
    """The one of examples/README.md, by `kubectl apply -k`."""
    policies.put_in_force(policy)
    readme = (parts.ROOT / "examples/README.md").read_text()
    (kustomization,) = re.findall(r"```yaml\n(# kustomization\.yaml\n.*?)```", readme, re.DOTALL)
    (tmp_path / "kustomization.yaml").write_text(kustomization.replace("cluster.yaml", policy.file))
    (tmp_path / policy.file).write_text(policy.manifest)
    kube.kubectl("apply", "--validate=strict", f"--kustomize={tmp_path}")
    image = "registry.example.com/tools/drain-sleep:1"
    up.wait_until("pods get the other image", lambda: image in json.dumps(trial_pod("trial")["spec"]))
    policies.apply(policy)
    up.wait_until("pods get the image again", lambda: image not in json.dumps(trial_pod("trial")["spec"]))
    assert hooks_in(trial_pod("trial"))


@pytest.mark.parametrize("policy", [KYVERNO_INSTALL])
def test_an_image_volume_is_left_out_where_there_are_none(policy):
    """Without a word: the hook would look for a program that is not there. That is why the init container is the default."""
    policies.put_in_force(policy)
    wanted = pod(app(8080, volumeMounts=[MOUNT]), volumes=[IMAGE_VOLUME])
    spec = kube.create_pod(wanted, "left-out", "default")["spec"]
    assert not spec.get("volumes") and not spec["containers"][0].get("volumeMounts")


@pytest.mark.parametrize("policy", [KYVERNO_INSTALL])
def test_pods_are_created_without_a_hook_while_kyverno_is_gone(policy):
    policies.put_in_force(policy)
    kyverno.kill()
    began = time.monotonic()
    assert not hooks_in(trial_pod("trial"))
    print(f"that took {time.monotonic() - began:.1f} s")
    failed_open = "apiserver_admission_webhook_fail_open_count"
    assert re.search(rf"^{failed_open}{{.*kyverno.*}} [1-9]", kube.kubectl("get", "--raw=/metrics"), re.MULTILINE)
    kyverno.start()
    policies.wait_until_heeded(True, "trial")
