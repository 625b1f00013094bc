"""What the tests ask of the API server, by kubectl and, for watching, by its HTTP API."""

import contextlib
import datetime
import http.client
import json
import re
import subprocess
import threading
import urllib.error
import urllib.request

import up

GATE = {"name": "example.com/not-to-be-run"}
SIGTERM_LINE = re.compile(r"\[pod/(\S+)/(\S+)\] SIGTERM (\S+)")


def kubectl(*arguments, namespace="default", **options):
    """Run kubectl and return what it printed; its errors end the test."""
    command = ("kubectl", f"--namespace={namespace}", *arguments)
    process = subprocess.run(command, capture_output=True, text=True, **options)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {process.stderr.strip()}")
    return process.stdout


def apply(manifest, namespace):
    kubectl("apply", "--validate=strict", "--filename=-", namespace=namespace, input=manifest)


def create_namespace(name, labels, exist_ok=False):
    """With its labels from the start, so that no pod is created before a policy knows them."""
    metadata = {"name": name, "labels": labels}
    verb = "apply" if exist_ok else "create"
    kubectl(verb, "--filename=-", input=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))


def create_pod(pod, name, namespace, dry_run=False, is_run=False):
    """Create the pod, and return it as the API server keeps it."""
    metadata = pod.get("metadata", {}) | {"name": name}
    gated = not is_run and "nodeName" not in pod["spec"]
    spec = pod["spec"] | ({"schedulingGates": [GATE]} if gated else {})
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


def pods(namespace):
    return json.loads(kubectl("get", "pods", "--output=json", namespace=namespace))["items"]


class Watch(threading.Thread):
    """Keeps the last state of every pod, also of those that are gone: it has the exit codes of their containers."""

    def __init__(self):
        super().__init__(daemon=True)
        self.last_state = {}  # by namespace and name
        self.gone = set()
        self.start()

    def run(self):
        # resourceVersion=0: from the API server's cache. etcd 3.4 is too old for one that begins at the newest state.
        with (
            urllib.request.urlopen(f"{up.PROXY}/api/v1/pods?watch=1&resourceVersion=0") as events,
            contextlib.suppress(http.client.IncompleteRead),  # the API server has ended
        ):
            for event in map(json.loads, events):
                pod = event["object"]
                key = pod["metadata"]["namespace"], pod["metadata"]["name"]
                self.last_state[key] = pod
                if event["type"] == "DELETED":
                    self.gone.add(key)


class Log:
    """Follows the logs of a pod's containers to their end, past the deletion that takes them away."""

    def __init__(self, pod, namespace):
        self.kubectl = subprocess.Popen(
            ("kubectl", f"--namespace={namespace}", "logs", pod, "--all-containers", "--prefix", "--follow"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.first_line = self.kubectl.stdout.readline()  # the app's greeting: from here on nothing is missed

    def lines(self):
        with self.kubectl:
            return [self.first_line, *self.kubectl.stdout]


def sigterms(lines):
    """When each container's app got SIGTERM."""
    return {match[2]: timestamp(match[3]) for match in map(SIGTERM_LINE.match, lines) if match}


def deletions():
    """When the API server was first asked to delete each pod, by namespace and name."""
    first = {}
    with open(up.AUDIT_LOG) as audit_log:
        for request in map(json.loads, audit_log):
            pod = request["objectRef"]["namespace"], request["objectRef"].get("name")
            first.setdefault(pod, timestamp(request["requestReceivedTimestamp"]))
    return first


def timestamp(text):
    """Seconds since the epoch."""
    return datetime.datetime.fromisoformat(text).timestamp()
