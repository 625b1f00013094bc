"""Which pods examples/cluster.yaml changes, and how: each row is a pod that goes in, and the hooks with which it comes out.

A row's pod is created twice: in a namespace without the label, and in one that has it. What the policy is to add is looked
for in the second, and taken out again: then the two must be equal. A scheduling gate keeps the pods from running; the files
in labelled/ are for those that run.
"""

import base64
import contextlib
import copy
import dataclasses
import http.server
import json
import re
import ssl
import subprocess
import textwrap
import threading
import urllib.error
import urllib.request

import kube
import parts
import up

POLICY = parts.ROOT / "examples/cluster.yaml"
ENABLED = {"drain-sleep": "enabled"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
CONTAINERS_ADDED = {"containers-added": "enabled"}

VOLUME = {"name": "drain-sleep", "image": {"reference": up.DRAIN_SLEEP_IMAGE, "pullPolicy": "IfNotPresent"}}
MOUNT = {"name": "drain-sleep", "mountPath": "/drain", "readOnly": True}
GATE = {"name": "example.com/not-to-be-run"}


@dataclasses.dataclass
class Row:
    label: str
    pod: dict  # what is not usual in it: spec and metadata
    hooks: dict  # the commands that are to be added, by container
    namespace: dict = dataclasses.field(default_factory=dict)  # the labels of both namespaces
    made_by: str = "Pod"

    problems: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.label = f"admission, {self.label}"


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


def table():
    usual, unchanged = {"app": hook(8080)}, {}
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
        Row(
            "the name taken by another image",
            pod(app(8080), volumes=[{"name": "drain-sleep", "image": {"reference": "example.com/other:1"}}]),
            unchanged,
        ),
        Row("the volume there by hand", pod(app(8080), volumes=[VOLUME]), usual),
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
        Row(
            "its own duration",
            pod(app(8080), annotations={"drain-sleep/duration": "25s"}),
            {"app": hook(8080, duration="25s")},
        ),
        Row(
            "its own minimum", pod(app(8080), annotations={"drain-sleep/min": "12s"}), {"app": hook(8080, least="12s")}
        ),
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
            usual | {name: hook(9000) for name in ("added-before", "zz-added-after", "added-by-webhook")},
            CONTAINERS_ADDED,
        ),
        Row(
            "a large pod",
            pod(*(large(app(*range(8000, 8010), name=f"app-{i}")) for i in range(30))),
            {f"app-{i}": hook(*range(8000, 8010)) for i in range(30)},
        ),
        *(Row(f"made by a {kind}", pod(app(8080)), usual, made_by=kind) for kind in WORKLOADS),
        Row("made by a Job, without a port", pod(app()), unchanged, made_by="Job"),
    ]


def two_names(port):
    return {"ports": [{"name": name, "containerPort": port} for name in ("http", "metrics")]}


def large(container):
    return container | {"env": [{"name": f"VARIABLE_{i}", "value": "x" * 100} for i in range(200)]}


WORKLOADS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Job": "batch/v1"}


def turn_on():
    """Apply the policy, and return once the API server heeds it."""
    apply(POLICY.read_text())
    kube.create_namespace("trial", ENABLED)
    up.wait_until("the policy is heeded", lambda: hooks_in(create(pod(app(8080)), "pod", "trial", dry_run=True)))


def run(is_selected):
    rows = [row for row in table() if is_selected(row.label)]
    for name in ("added-before", "zz-added-after"):
        apply(json.dumps(policy_that_adds(name)))
    with webhook_that_adds("added-by-webhook"):
        judge_all(rows)
    say_how_long_it_takes()
    return rows + broken_policies(is_selected)


def judge_all(rows):
    pairs = {}
    for number, row in enumerate(rows):
        attempt(row, lambda: judge(row, *(create_by(row, f"row-{number}", n) for n in pair_of_namespaces(pairs, row))))
    for namespace in sum(pairs.values(), ()):
        kube.kubectl("delete", "namespace", namespace, "--wait=false")


def pair_of_namespaces(pairs, row):
    """Two namespaces with the row's labels: the second has the policy's as well. There is a pair for each set of labels."""
    key = str(row.namespace)
    if key not in pairs:
        pairs[key] = f"admission-{len(pairs)}-plain", f"admission-{len(pairs)}-labelled"
        for name, more in zip(pairs[key], ({}, ENABLED)):
            kube.create_namespace(name, row.namespace | more)
    return pairs[key]


def say_how_long_it_takes():
    """As the API server measures it."""
    metric = r'^apiserver_mutating_admission_policy_check_duration_seconds_{}{{.*policy="drain-sleep".*}} (\S+)$'
    metrics = kube.kubectl("get", "--raw=/metrics")
    total, count = (float(re.search(metric.format(which), metrics, re.MULTILINE)[1]) for which in ("sum", "count"))
    parts.say(f"the policy took {1000 * total / count:.1f} ms each of {count:.0f} times, large pods among them")


def attempt(row, step):
    try:
        step()
    except (RuntimeError, TimeoutError, LookupError, ValueError) as error:
        row.problems.append(f"{type(error).__name__}: {error}")


def apply(manifest):
    kube.apply(manifest, "default")


def create(pod, name, namespace, dry_run=False):
    """Create the pod, and return it as the API server keeps it."""
    metadata = pod["metadata"] | {"name": name}
    spec = pod["spec"] if "nodeName" in pod["spec"] else pod["spec"] | {"schedulingGates": [GATE]}
    request = urllib.request.Request(
        f"{up.PROXY}/api/v1/namespaces/{namespace}/pods?fieldValidation=Strict{'&dryRun=All' * dry_run}",
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["message"]) from error


def create_by(row, name, namespace):
    if row.made_by == "Pod":
        return create(row.pod, name, namespace)
    apply_to = json.dumps(workload(row.made_by, name, row.pod["spec"]))
    kube.apply(apply_to, namespace)

    def made():
        return [pod for pod in kube.pods(namespace) if pod["metadata"].get("labels", {}).get("row") == name]

    up.wait_until(f"a pod of the {row.made_by}", made)
    return made()[0]


def workload(kind, name, spec):
    labels = {"row": name}
    template = {"metadata": {"labels": labels}, "spec": spec | {"schedulingGates": [GATE]}}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
        rest = {}
    else:
        rest = {"selector": {"matchLabels": labels}}
    return {
        "apiVersion": WORKLOADS[kind],
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"template": template} | rest,
    }


def judge(row, plain, labelled):
    hooks = hooks_in(labelled)
    came_out = "; ".join(f"{name}: {' '.join(command)}" for name, command in hooks.items()) or "unchanged"
    parts.say(f"{row.label}: {textwrap.shorten(came_out, 200)}")
    if hooks != row.hooks:
        row.problems.append(f"the hooks are {hooks}, not {row.hooks}")
    was_there = VOLUME in plain["spec"].get("volumes", [])
    left = without_hooks(labelled, hooks, keep_volume=was_there)
    if left != without_hooks(plain, {}, keep_volume=True):
        row.problems.append(f"something else has changed: {plain['spec']} became {labelled['spec']}")


def hooks_in(pod):
    """The commands of the hooks of drain-sleep, by container."""
    hooks = {}
    for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
        command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [""])
        if command[0].endswith("/drain-sleep"):
            hooks[container["name"]] = command
    return hooks


def without_hooks(pod, hooks, keep_volume):
    """What a pod is but for these hooks, their mounts and the volume; whether an empty list is there or not."""
    spec = copy.deepcopy(pod["spec"])
    if hooks and not keep_volume:
        spec["volumes"].remove(VOLUME)
    for container in spec["containers"]:
        if container["name"] in hooks:
            container["volumeMounts"].remove(MOUNT)
            del container["lifecycle"]["preStop"]
        drop_empty(container, "volumeMounts", "lifecycle")
    drop_empty(spec, "volumes")
    return spec, pod["metadata"].get("annotations")


def drop_empty(mapping, *keys):
    for key in keys:
        if not mapping.get(key):
            mapping.pop(key, None)


ADMISSION = "admissionregistration.k8s.io/v1"
PODS = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
WHERE_ADDED = {"namespaceSelector": {"matchLabels": CONTAINERS_ADDED}}


def policy_that_adds(name):
    """Another policy of the cluster's, which adds a container. The API server goes through policies by their names."""
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


@contextlib.contextmanager
def webhook_that_adds(name):
    """A webhook that adds a container, as those of service meshes do. Webhooks come after all policies."""

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

    certificate, key = up.WORK / "webhook.pem", up.WORK / "webhook.key"
    parts.run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch"),
        *("-subj", "/CN=webhook", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key),
        stderr=subprocess.DEVNULL,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
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
                "caBundle": base64.b64encode(certificate.read_bytes()).decode(),
            },
        }
        configuration = {
            "apiVersion": ADMISSION,
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [webhook | WHERE_ADDED],
        }
        apply(json.dumps(configuration))
        yield
        kube.kubectl("delete", "mutatingwebhookconfiguration", name)
        server.shutdown()


@dataclasses.dataclass
class BrokenPolicy:
    label: str
    old: str = ""
    new: str = ""

    problems: list = dataclasses.field(default_factory=list)


def broken_policies(is_selected):
    """Copies of the policy under another name and label, each with a mistake in it."""
    mistyped = BrokenPolicy("admission, a mistyped name is refused when the policy is applied", ".grace", ".grade")
    failing = [
        BrokenPolicy(f"admission, no pod is stopped by {what}", *change)
        for what, *change in (
            ("a condition that fails", "object.spec.?hostNetwork.orValue(false)", "object.spec.containers[9].tty"),
            ("an expression that fails", "variables.grace - 10", "10 / (variables.grace - 30)"),
            ("a patch that cannot be applied", '"/spec/volumes/-"', '"/spec/volume/-"'),
        )
    ]
    deleted = BrokenPolicy("admission, nothing is changed once the policy is deleted")
    steps = [(mistyped, apply_mistyped), *((policy, apply_failing) for policy in failing), (deleted, apply_and_delete)]
    steps = [(policy, step) for policy, step in steps if is_selected(policy.label)]
    for number, (policy, step) in enumerate(steps):
        name = f"broken-{number}"
        kube.create_namespace(name, {name: "enabled"})
        attempt(policy, lambda: step(copy_of_policy(name, policy), policy, name))
        parts.say(f"{policy.label}: {'no' if policy.problems else 'yes'}")
    return [policy for policy, _ in steps]


def copy_of_policy(name, policy):
    text = POLICY.read_text()
    if policy.old not in text:
        raise LookupError(f"the policy has no {policy.old}")
    text = text.replace(policy.old, policy.new)
    return re.sub(r"(?m)^(  name|  policyName): drain-sleep$", rf"\1: {name}", text).replace(
        "{drain-sleep: enabled}", f"{{{name}: enabled}}"
    )


def apply_mistyped(text, policy, namespace):
    try:
        apply(text)
    except RuntimeError as error:
        if "grade" not in str(error):
            raise
    else:
        policy.problems.append("it was taken")


def apply_failing(text, policy, namespace):
    """The mistake is one that matters, since with another failurePolicy the pod is refused."""

    def is_taken():
        try:
            return create(pod(app(8080)), "trial", namespace, dry_run=True)
        except RuntimeError:
            return None

    apply(text.replace("failurePolicy: Ignore", "failurePolicy: Fail"))
    up.wait_until("the mistake is heeded", lambda: not is_taken())
    apply(text)
    up.wait_until("pods are created all the same", is_taken)
    if hooks := hooks_in(create(pod(app(8080)), "pod", namespace)):
        policy.problems.append(f"the pod has hooks: {hooks}")


def apply_and_delete(text, policy, namespace):
    def trial():
        return hooks_in(create(pod(app(8080)), "trial", namespace, dry_run=True))

    apply(text)
    up.wait_until("the policy is heeded", trial)
    kube.kubectl("delete", "--filename=-", input=text)
    up.wait_until("nothing is changed", lambda: not trial())
