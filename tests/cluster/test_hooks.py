"""The hooks: every example, and every case in hooks/, is applied, becomes ready, and is deleted. So is every case in
labelled/, once for each file that adds the hook to whole namespaces, and kustomize/, which has the component of the examples.

What is expected follows from the hook itself. Where it does not, annotations of the case's pods say so:

    expect/sigterm-after   seconds from the deletion to SIGTERM, at least; with -NAME behind it, of that container alone
    expect/event           the reason of an event that must come; FailedPreStopHook must not, otherwise
    expect/log             a regular expression that `kubectl logs` must match
    expect/no-log          one that it must not match
    expect/qos-class       the class of the pod
    shorten-grace-period   seconds of grace that a second deletion leaves, 3 s after the first
"""

import json
import os
import re
import signal
import time

import bounds
import kube
import parts
import policies
import pytest
import up

CLEAN_EXITS = {0, 128 + signal.SIGTERM}  # what the app and drain-sleep, as a container's program, make of SIGTERM
BEFORE_SHORTENING = 3  # seconds from the first deletion to the one that leaves less grace


class Case:
    def __init__(self, name, manifest, policy=policies.CLUSTER, namespace_labels=None):
        self.name = name
        self.namespace = re.sub("[^a-z-]+", "-", name)
        self.manifest = manifest
        self.policy = policy  # what is in force; it adds nothing where the labels do not say so
        self.namespace_labels = namespace_labels or {}
        self.logs = {}  # by pod
        self.problems = []

    def kubectl(self, *arguments):
        return kube.kubectl(*arguments, namespace=self.namespace)

    def attempt(self, step, *arguments):
        """A step that fails ends this case and no other."""
        if not self.problems:
            try:
                step(self, *arguments)
            except (RuntimeError, TimeoutError, LookupError) as error:
                self.problems.append(f"{step.__name__}: {error}")

    def apply(self):
        kube.create_namespace(self.namespace, self.namespace_labels)
        if "configMap:" in self.manifest:
            self.kubectl("create", "configmap", "drain-sleep", f"--from-file=drain-sleep={os.environ['DRAIN_SLEEP']}")
        kube.apply(self.manifest, self.namespace)

    def wait_until_ready(self):
        for workload in self.kubectl("get", "deployments,statefulsets,daemonsets", "--output=name").split():
            self.kubectl("rollout", "status", workload, "--timeout=180s")
        self.kubectl("wait", "--for=condition=Ready", "pods", "--all", "--timeout=180s")
        names = [pod["metadata"]["name"] for pod in kube.pods(self.namespace)]
        self.logs = {name: kube.Log(name, self.namespace) for name in names}

    def delete(self):
        self.kubectl("delete", "deployments,statefulsets,daemonsets,jobs,pods", "--all", "--wait=false")

    def shorten_grace_period(self, watch):
        for pod in self.logs:
            annotations = watch.last_state[self.namespace, pod]["metadata"].get("annotations", {})
            if seconds := annotations.get("shorten-grace-period"):
                self.kubectl("delete", "pod", pod, f"--grace-period={seconds}", "--wait=false")

    def wait_until_gone(self, watch):
        ours = {(self.namespace, pod) for pod in self.logs}
        up.wait_until(f"the pods of {self.name} are gone", lambda: ours <= watch.gone, seconds=180)

    def judge(self, watch, deletions):
        events = json.loads(self.kubectl("get", "events", "--output=json"))["items"]
        reasons = {event["reason"] for event in events}
        for name, log in self.logs.items():
            pod = watch.last_state[self.namespace, name]
            lines = log.lines()
            self.judge_end(pod, deletions[self.namespace, name], kube.sigterms(lines))
            self.judge_log(pod, "".join(lines))
            self.judge_events(pod, reasons)
            qos_class = pod["metadata"].get("annotations", {}).get("expect/qos-class")
            self.expect(qos_class in (None, pod["status"]["qosClass"]), f"the class is {pod['status']['qosClass']}")

    def judge_end(self, pod, deleted, sigterms):
        for container in drained_containers(pod):
            name = container["name"]
            terminated = terminations(pod)[name]
            # A sidecar that is not our app tells no time; the kubelet does, in whole seconds.
            took = sigterms.get(name, kube.timestamp(terminated["finishedAt"]) + 1) - deleted
            least = bounds.shortest_drain(pod, container)
            self.expect(took >= least, f"{name}: SIGTERM after {took:.1f} s, before {least:g} s")
            self.expect(terminated["exitCode"] in CLEAN_EXITS, f"{name}: exit code {terminated['exitCode']}")

    def judge_log(self, pod, log):
        annotations = pod["metadata"].get("annotations", {})
        wanted = annotations.get("expect/log")
        unwanted = annotations.get("expect/no-log")
        if wanted is None and unwanted is None and "--log-file" in json.dumps(pod["spec"]):
            wanted = "drain-sleep: "
        self.expect(wanted is None or re.search(wanted, log), f"kubectl logs does not match {wanted!r}:\n{log}")
        self.expect(unwanted is None or not re.search(unwanted, log), f"kubectl logs matches {unwanted!r}:\n{log}")

    def judge_events(self, pod, reasons):
        wanted = pod["metadata"].get("annotations", {}).get("expect/event")
        if wanted:
            self.expect(wanted in reasons, f"no event {wanted}")
        else:
            self.expect("FailedPreStopHook" not in reasons, "an event FailedPreStopHook")

    def expect(self, condition, problem):
        if not condition:
            self.problems.append(problem)


def table():
    examples = set((parts.ROOT / "examples").glob("*.yaml")) - {parts.ROOT / "examples" / p.file for p in policies.ALL}
    labels = policies.ENABLED | policies.RESTRICTED
    labelled = sorted((parts.HERE / "labelled").glob("*.yaml"))
    return [
        *(
            Case(f"labelled-{file.stem}, {policy.name}", file.read_text(), policy, labels)
            for policy in policies.ALL
            for file in labelled
            if not (policy is policies.KYVERNO_INSTALL and file.stem == "mistakes")  # see below
        ),
        *(Case(file.stem, file.read_text()) for file in sorted([*examples, *(parts.HERE / "hooks").glob("*.yaml")])),
        Case("kustomize", kube.kubectl("kustomize", str(parts.HERE / "kustomize")), namespace_labels=policies.RESTRICTED),
    ]


@pytest.fixture(scope="session")
def drained(request):
    """Drains all selected cases of a policy at the same time, since most of it is waiting."""
    selected = [item.callspec.params["case"] for item in request.session.items if item.originalname == "test_hook"]
    done = set()

    def drain(policy):
        if policy not in done:
            done.add(policy)
            cases = [case for case in selected if case.policy is policy]
            try:
                drain_all(cases)
            except Exception as error:
                for case in cases:
                    case.problems.append(f"not drained: {error}")
                raise

    return drain


def is_long(case):
    """What an image volume does to a running pod, cluster.yaml shows as well."""
    return case.policy is policies.KYVERNO_VOLUME


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.long] * is_long(case)) for case in table()])
def test_hook(case, drained):
    drained(case.policy)
    assert not case.problems, "\n".join(case.problems)


@pytest.mark.parametrize("policy", [policies.KYVERNO_INSTALL])
def test_a_mistake_in_an_annotation_stops_the_pod_at_its_start(policy):
    policies.put_in_force(policy)
    mistaken = policies.PLAIN | {"metadata": {"annotations": {"drain-sleep/duration": "soon"}}}
    kube.create_namespace("mistaken", policies.ENABLED)
    kube.create_pod(mistaken, "mistaken", "mistaken", is_run=True)

    def exit_codes():
        (pod,) = kube.pods("mistaken")
        statuses = pod["status"].get("initContainerStatuses", [])
        states = [status[which] for status in statuses for which in ("state", "lastState")]
        return {state["terminated"]["exitCode"] for state in states if "terminated" in state}

    up.wait_until("the init container has ended with the exit status of a mistake", lambda: exit_codes() == {2})
    assert "soon" in kube.kubectl("logs", "mistaken", f"--container={policies.NAME}", namespace="mistaken")
    kube.kubectl("delete", "pod", "mistaken", namespace="mistaken")


def drain_all(cases):
    def with_each(step, *arguments):
        for case in cases:
            case.attempt(step, *arguments)

    if any(policies.ENABLED.items() <= (case.namespace_labels or {}).items() for case in cases):
        policies.put_in_force(cases[0].policy)
    provide_images(cases)
    watch = kube.Watch()
    with_each(Case.apply)
    with_each(Case.wait_until_ready)
    with_each(Case.delete)
    time.sleep(BEFORE_SHORTENING)
    with_each(Case.shorten_grace_period, watch)
    with_each(Case.wait_until_gone, watch)
    with_each(Case.judge, watch, kube.deletions())


def provide_images(cases):
    """Make every image that a manifest names one of ours, so that the manifests are applied as they stand."""
    text = "\n".join(case.manifest for case in cases)
    for image in set(re.findall(r"\b(?:image|reference): *[\"']?([^\s\"',{}]+)", text)):
        ours = up.DRAIN_SLEEP_IMAGE if re.search(r"drain-sleep[:@]|drain-sleep$", image) else up.APP_IMAGE
        if image not in (up.DRAIN_SLEEP_IMAGE, up.APP_IMAGE):
            parts.run("ctr", "images", "tag", "--force", ours, image)


def drained_containers(pod):
    """The containers with an end of their own: all but the init containers that have run and are done."""
    sidecars = [c for c in pod["spec"].get("initContainers", []) if c.get("restartPolicy") == "Always"]
    return pod["spec"]["containers"] + sidecars


def terminations(pod):
    """How each container ended, by its name."""
    statuses = pod["status"]["containerStatuses"] + pod["status"].get("initContainerStatuses", [])
    return {status["name"]: status["state"]["terminated"] for status in statuses}
