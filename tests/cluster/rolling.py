"""Rolling restarts: a Deployment is restarted under load, with different hooks and under different conditions."""

import contextlib
import dataclasses
import json
import math
import statistics
import time
from functools import partial

import bounds
import kube
import load
import parts
import router
import up

NAMESPACE = router.NAMESPACE
REPLICAS = 4
MIN_READY_SECONDS = 3  # spreads the deletions, so that some fall far from a poll of the slowest router
GRACE_PERIOD = 60
BEFORE_RESTART = 3  # seconds of load


@dataclasses.dataclass
class Hook:
    name: str
    pre_stop: dict | None  # in the manifest
    label: str = "disabled"  # of the namespace, drain-sleep=...: "enabled" has the API server add the hook

    @property
    def is_ours(self):
        return self.pre_stop is not None and "exec" in self.pre_stop


def sleep(seconds):
    return Hook(f"native sleep {seconds}", {"sleep": {"seconds": seconds}})


def drain_sleep(name, *arguments):
    return Hook(name, {"exec": {"command": ["/drain-sleep", *arguments, "20s"]}})


POST = ("--post", "http://localhost:8080/drain")
UNREADY = ("--until-unready", "http://localhost:8080/readyz")
IDLE = ("--until-idle", "8080")

NO_HOOK = Hook("no hook", None)
BY_LABEL = Hook("label drain-sleep=enabled", None, "enabled")
FIXED = drain_sleep("20s")
UNTIL_IDLE = drain_sleep("--until-idle", *IDLE)
UNTIL_IDLE_MIN_12S = drain_sleep("--until-idle --min 12s", *IDLE, "--min", "12s")
POST_UNTIL_UNREADY = drain_sleep("--post --until-unready", *POST, *UNREADY)
POST_UNTIL_UNREADY_MIN_12S = drain_sleep("--post --until-unready --min 12s", *POST, *UNREADY, "--min", "12s")
POST_UNTIL_IDLE = drain_sleep("--post --until-idle", *POST, *IDLE)


@dataclasses.dataclass
class Condition:
    name: str
    router: callable = router.skipper
    settle: int = 5  # seconds in which the router must have heard of the last pod's end
    app: tuple = ()  # options of the app, which exits at once on SIGTERM unless told otherwise
    sends: callable = load.Load
    rate: str = "300/1s"
    requests: tuple = ("GET ?takes=20ms",)  # in turn
    client: tuple = ()  # options of the load
    inside: tuple = ()  # a command that starts the load where the clients are, when they are not on the node


SLOW_ROUTER = {"router": partial(router.skipper, poll_seconds=10), "settle": 12}

USUAL = Condition("skipper polls every 3 s")
LINGERS = Condition("the app serves on for 2 s", app=("--linger=2s",))
NEW_CONNECTIONS = Condition(
    "a new connection for each request", router=partial(router.skipper, keep_alive=False), client=("-keepalive=false",)
)
SOME_SLOW = Condition("one request in twenty takes 3 s", requests=("GET ?takes=20ms",) * 19 + ("GET ?takes=3s",))
RARE = Condition("one request every 2 s", rate="1/2s")
LATE = Condition("skipper polls every 10 s", **SLOW_ROUTER)
LATE_AND_RARE = Condition("skipper polls every 10 s, two requests every 3 s", **SLOW_ROUTER, rate="2/3s")
HEALTH_CHECKS = Condition("haproxy, by health checks alone", router=router.haproxy)
HTTP2 = Condition("haproxy, HTTP/2 throughout", router=partial(router.haproxy, protocol="h2"), client=("-h2c",))

FAILURES, NONE, CHANCE = "failures", "none", "chance decides"


@dataclasses.dataclass
class Row:
    hook: Hook
    condition: Condition
    expected: str
    short: bool = False  # part of the short form
    at_most: float = math.inf  # seconds per pod at the median; not judged in the short form, whose machine may be busy

    problems: list = dataclasses.field(default_factory=list)
    result: load.Result = None
    seconds: list = dataclasses.field(default_factory=list)  # from each pod's deletion to its SIGTERM

    @property
    def label(self):
        return f"{self.hook.name}, {self.condition.name}"

    @property
    def median_seconds(self):
        return statistics.median(self.seconds)


def table():
    return [
        Row(NO_HOOK, USUAL, FAILURES, short=True),
        Row(BY_LABEL, USUAL, NONE, short=True, at_most=9),  # the same manifest as in the row above
        Row(sleep(5), USUAL, NONE),
        Row(sleep(20), USUAL, NONE),
        Row(FIXED, USUAL, NONE),
        Row(UNTIL_IDLE, USUAL, NONE, short=True, at_most=9),
        Row(POST_UNTIL_UNREADY, USUAL, NONE),
        Row(POST_UNTIL_IDLE, USUAL, NONE),
        Row(NO_HOOK, LINGERS, CHANCE),
        Row(UNTIL_IDLE, LINGERS, NONE),
        Row(NO_HOOK, NEW_CONNECTIONS, FAILURES),
        Row(UNTIL_IDLE, NEW_CONNECTIONS, NONE),
        Row(sleep(5), SOME_SLOW, CHANCE),
        Row(UNTIL_IDLE, SOME_SLOW, NONE),
        Row(UNTIL_IDLE, RARE, NONE),
        # The router is later than the 5 s of --min. --until-unready cannot know; --until-idle waits for requests that
        # still come.
        Row(sleep(5), LATE, FAILURES),
        Row(POST_UNTIL_UNREADY, LATE, FAILURES),
        Row(POST_UNTIL_UNREADY_MIN_12S, LATE, NONE),
        Row(UNTIL_IDLE, LATE, NONE),
        # But a pod with few requests is idle between two of them: then only --min can cover the router's delay.
        Row(UNTIL_IDLE, LATE_AND_RARE, CHANCE),
        Row(UNTIL_IDLE_MIN_12S, LATE_AND_RARE, NONE),
        # A router that asks the app itself hears of nothing before the app does.
        Row(FIXED, HEALTH_CHECKS, FAILURES),
        Row(POST_UNTIL_UNREADY, HEALTH_CHECKS, NONE),
        Row(POST_UNTIL_IDLE, HEALTH_CHECKS, NONE),
        Row(NO_HOOK, HTTP2, CHANCE),
        Row(POST_UNTIL_IDLE, HTTP2, NONE),
    ]


def run(is_selected, short):
    rows = [row for row in table() if (row.short or not short) and is_selected(row.label)]
    if rows:
        kube.kubectl("create", "namespace", NAMESPACE)
        kube.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [service(), ingress()]}), NAMESPACE)
    for row in rows:
        try:
            restart(row)
            judge(row, short)
        except (RuntimeError, TimeoutError, LookupError) as error:
            row.problems.append(f"{type(error).__name__}: {error}")
        outcome = f"{row.result.failed} of {row.result.requests} failed" if row.result else "no result"
        parts.say(f"{row.label}: {outcome}")
    return rows


def restart(row):
    kube.kubectl("label", "--overwrite", "namespace", NAMESPACE, f"drain-sleep={row.hook.label}")
    kube.apply(json.dumps(deployment(row)), NAMESPACE)
    wait_for_rollout()
    old_pods = {pod["metadata"]["name"]: pod for pod in kube.pods(NAMESPACE)}
    logs = {name: kube.Log(name, NAMESPACE) for name in old_pods}
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(delete_pods)
        url = at_the_end.enter_context(row.condition.router())
        load.wait_until_routed(url)
        traffic = row.condition.sends(url, row.condition.rate, row.condition.requests, row.condition.client)
        at_the_end.callback(traffic.kill)
        time.sleep(BEFORE_RESTART)
        kube.kubectl("rollout", "restart", "deployment/app", namespace=NAMESPACE)
        wait_for_rollout()
        kube.kubectl("wait", "--for=delete", "pod", *old_pods, "--timeout=180s", namespace=NAMESPACE)
        time.sleep(row.condition.settle)
        row.result = traffic.stop()
    deletions = kube.deletions()
    for name, pod in old_pods.items():
        took = kube.sigterms(logs[name].lines())["app"] - deletions[NAMESPACE, name]
        row.seconds.append(took)
        least = bounds.shortest_drain(pod, pod["spec"]["containers"][0])
        if took < least:
            row.problems.append(f"SIGTERM after {took:.1f} s, before {least} s")
        if row.hook.label == "enabled" and not least:
            row.problems.append(f"{name} has no hook")


def delete_pods():
    kube.kubectl("delete", "deployment/app", namespace=NAMESPACE)
    kube.kubectl("delete", "pod", "--all", "--grace-period=1", namespace=NAMESPACE)


def judge(row, short):
    if row.expected == NONE and row.result.failed:
        row.problems.append(f"{row.result.failed} failed: {row.result.errors}")
    if row.expected == FAILURES and not row.result.failed:
        row.problems.append("no request failed: the load does not show what it should")
    if not short and row.median_seconds > row.at_most:
        row.problems.append(f"{row.median_seconds:.1f} s per pod, more than {row.at_most} s")


def wait_for_rollout():
    kube.kubectl("rollout", "status", "deployment/app", "--timeout=180s", namespace=NAMESPACE)


def deployment(row):
    labels = {"app": "app"}
    container = {
        "name": "app",
        "image": up.APP_IMAGE,
        "args": row.condition.app,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
    }
    if row.hook.pre_stop:
        container["lifecycle"] = {"preStop": row.hook.pre_stop}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {
            "replicas": REPLICAS,
            "minReadySeconds": MIN_READY_SECONDS,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": GRACE_PERIOD, "containers": [container]},
            },
        },
    }


def service():
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "app"},
        "spec": {
            "selector": {"app": "app"},
            "clusterIP": router.CLUSTER_IP,
            "ports": [{"name": "http", "port": 8080}, {"name": "grpc", "port": 9090}],
        },
    }


def ingress():
    backend = {"service": {"name": "app", "port": {"number": 8080}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "app"},
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    }
