"""How late each router is: pods are deleted one after another under load, with different hooks, behind each router."""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import json
import re
import subprocess
import time
from functools import partial

import bounds
import istio
import kube
import load
import nginx
import parts
import rolling
import router
import up
from rolling import CHANCE, FAILURES, NONE, Condition, drain_sleep, sleep

PODS = 10
APART = 1.3  # seconds from one deletion to the next, which divides no router's period
MISSING_AT_MOST = 3  # pods that may be missing from the service before the next is deleted
BEFORE = 2  # seconds of load
STILL_ASKED = 0.5  # seconds: a pod whose last request came so near to its end was still in use

SIDECAR_LINE = re.compile(r"\[pod/\S+/istio-proxy\] (\d{4}-\S+Z)\t")
LAST_REQUEST_LINE = re.compile(r"\[pod/\S+\] last request (\S+)")

NO_HOOK = rolling.NO_HOOK
UNTIL_IDLE, POST_UNTIL_IDLE = rolling.UNTIL_IDLE, rolling.POST_UNTIL_IDLE
POST_UNTIL_UNREADY, POST_UNTIL_UNREADY_MIN_12S = rolling.POST_UNTIL_UNREADY, rolling.POST_UNTIL_UNREADY_MIN_12S
POST_UNTIL_UNREADY_MIN_2S = drain_sleep(
    "--post --until-unready --min 2s", *rolling.POST, *rolling.UNREADY, "--min", "2s"
)
UNTIL_IDLE_AFTER_10S = drain_sleep("--until-idle --idle-after 10s", *rolling.IDLE, "--idle-after", "10s")
GRPC_UNTIL_IDLE = drain_sleep("--until-idle, gRPC", "--until-idle", "9090")

# A connection to a pod that has gone may hang: 10 s are enough to call it a failure.
NEW = {"client": ("-keepalive=false", "-timeout=10s")}
# Enough connections for each pod, and requests that nobody repeats.
KEPT = {"requests": ("POST ?takes=200ms",), "client": ("-timeout=10s",)}
GRPC = {"sends": load.Calls, "requests": ("grpc.health.v1.Health/Check",)}

# Request and answer have the same time then, as the kernel counts it.
AT_ONCE = {"requests": ("GET ?takes=0s",)}

SKIPPER = rolling.USUAL
SKIPPER_AT_ONCE = dataclasses.replace(SKIPPER, name=f"{SKIPPER.name}, answers at once", **AT_ONCE)
SLOW_SKIPPER = rolling.LATE
HAPROXY = rolling.HEALTH_CHECKS
KUBE_PROXY = Condition("kube-proxy, new connections", router.kube_proxy, settle=2, **NEW)
KUBE_PROXY_KEPT = Condition("kube-proxy, connections kept", router.kube_proxy, settle=2, **KEPT)
KUBE_PROXY_CLOSED = Condition(
    "kube-proxy, connections kept until the app closes them", router.kube_proxy, settle=2, app=("--close",), **KEPT
)
CONTOUR = Condition("Contour and Envoy", router.contour, settle=2)
CONTOUR_AT_ONCE = Condition("Contour and Envoy, answers at once", router.contour, settle=2, **AT_ONCE)
CONTOUR_CHECKS = Condition(
    "Contour and Envoy, health checks too", partial(router.contour, health_checks=True), settle=2
)
CONTOUR_HTTP2 = Condition("Contour and Envoy, HTTP/2 to the pods", partial(router.contour, protocol="h2c"), settle=2)
CONTOUR_GRPC = Condition("Contour and Envoy, gRPC", router.contour, settle=2, **GRPC)
TRAEFIK = Condition("Traefik", router.traefik)
ENVOY = Condition("Envoy, by health checks alone", router.envoy)
ENVOY_NEW_CHECKS = Condition(
    "Envoy, by health checks alone, each on a new connection", partial(router.envoy, reuse_connection=False)
)
# nginx asks another pod where a request has failed, but not if that may do something twice.
POSTS = ("POST ?takes=20ms",)
INGRESS_NGINX = Condition("ingress-nginx", nginx.ingress_nginx, requests=POSTS)
INGRESS_NGINX_GETS = Condition("ingress-nginx, requests that it may repeat", nginx.ingress_nginx)
# A reload closes what clients keep open, and what they have just opened, be there a request on its way or not: no hook can save
# those. New connections make them few.
RELOADED = {"requests": POSTS, "client": ("-keepalive=false", "-timeout=10s")}
NGINX = Condition("nginx, reloaded for each change", nginx.reloaded, **RELOADED)
NGINX_KEPT = Condition(
    "nginx, reloaded for each change, connections to pods kept", partial(nginx.reloaded, keepalive=32), **RELOADED
)
NGINX_CLIENTS_KEPT = Condition(
    "nginx, reloaded for each change, clients' connections kept", nginx.reloaded, requests=POSTS
)
SOME_SLOW = {"requests": ("GET ?takes=20ms",) * 99 + ("GET ?takes=9s",), "settle": 10}
ISTIO = Condition("Istio, native sidecars", istio.istio, inside=istio.INSIDE_CLIENT)
ISTIO_SLOW = Condition(f"{ISTIO.name}, one request in a hundred takes 9 s", ISTIO.router, inside=ISTIO.inside, **SOME_SLOW)
ISTIO_OLD = Condition("Istio, sidecars of the old kind", ISTIO.router, inside=ISTIO.inside)
ISTIO_OLD_SLOW = Condition(
    f"{ISTIO_OLD.name}, one request in a hundred takes 9 s", ISTIO.router, inside=ISTIO.inside, **SOME_SLOW
)
# Whether the pods' sidecars are native, where they have one.
NATIVE_SIDECARS = {ISTIO.name: True, ISTIO_SLOW.name: True, ISTIO_OLD.name: False, ISTIO_OLD_SLOW.name: False}


def streams(lasts):
    requests = ("GET ?takes=20ms",) * 99 + (f"GET stream?lasts={lasts}",)
    name = f"Contour and Envoy, streams of {lasts}"
    return Condition(name, router.contour, settle=2, requests=requests, client=("-timeout=60s",))


STREAMS, LONG_STREAMS = streams("10s"), streams("28s")


@dataclasses.dataclass
class Row:
    hook: rolling.Hook
    condition: Condition
    expected: str
    times: int = 1

    @property
    def name(self):
        return f"{self.hook.name}, {self.condition.name}"

    @property
    def key(self):
        return self.condition.name, self.hook.name


def usual(condition, *expected, times=1):
    """Rows of every hook; those in which no request may fail are measured so many times."""
    hooks = (NO_HOOK, sleep(1), sleep(2), sleep(5), UNTIL_IDLE, POST_UNTIL_IDLE, POST_UNTIL_UNREADY)
    return [
        Row(hook, condition, expects, times if expects == NONE else 1)
        for hook, expects in zip(hooks, expected, strict=True)
    ]


def table():
    return [
        *usual(KUBE_PROXY, FAILURES, CHANCE, NONE, NONE, NONE, NONE, NONE),
        Row(POST_UNTIL_UNREADY_MIN_2S, KUBE_PROXY, NONE),
        # A connection stays with its pod: it takes the app to end it.
        Row(NO_HOOK, KUBE_PROXY_KEPT, FAILURES),
        Row(sleep(5), KUBE_PROXY_KEPT, FAILURES),
        Row(UNTIL_IDLE, KUBE_PROXY_KEPT, FAILURES),
        Row(POST_UNTIL_IDLE, KUBE_PROXY_CLOSED, NONE, times=2),
        Row(POST_UNTIL_UNREADY, KUBE_PROXY_CLOSED, NONE, times=2),
        *usual(CONTOUR, CHANCE, CHANCE, NONE, NONE, NONE, NONE, NONE),
        Row(POST_UNTIL_UNREADY_MIN_2S, CONTOUR, NONE),
        Row(UNTIL_IDLE, CONTOUR_AT_ONCE, NONE, times=2),
        Row(UNTIL_IDLE, CONTOUR_CHECKS, NONE),
        Row(POST_UNTIL_IDLE, CONTOUR_CHECKS, NONE),
        Row(POST_UNTIL_UNREADY, CONTOUR_CHECKS, NONE),
        Row(NO_HOOK, CONTOUR_HTTP2, CHANCE),
        Row(UNTIL_IDLE, CONTOUR_HTTP2, NONE, times=2),
        Row(POST_UNTIL_UNREADY_MIN_2S, CONTOUR_HTTP2, NONE, times=2),
        Row(NO_HOOK, CONTOUR_GRPC, CHANCE),
        Row(GRPC_UNTIL_IDLE, CONTOUR_GRPC, NONE, times=2),
        Row(POST_UNTIL_UNREADY_MIN_2S, CONTOUR_GRPC, NONE, times=2),
        Row(sleep(5), STREAMS, FAILURES),
        Row(UNTIL_IDLE, STREAMS, NONE),
        Row(UNTIL_IDLE, LONG_STREAMS, FAILURES),
        Row(NO_HOOK, INGRESS_NGINX, FAILURES),
        Row(sleep(2), INGRESS_NGINX, FAILURES),
        Row(sleep(5), INGRESS_NGINX, NONE),
        Row(UNTIL_IDLE, INGRESS_NGINX, NONE),
        Row(POST_UNTIL_IDLE, INGRESS_NGINX, NONE),
        Row(POST_UNTIL_UNREADY, INGRESS_NGINX, NONE),
        Row(NO_HOOK, INGRESS_NGINX_GETS, CHANCE),
        Row(UNTIL_IDLE, INGRESS_NGINX_GETS, NONE),
        Row(NO_HOOK, NGINX, CHANCE),
        Row(sleep(2), NGINX, NONE),
        Row(sleep(5), NGINX, NONE),
        Row(UNTIL_IDLE, NGINX, NONE),
        Row(POST_UNTIL_IDLE, NGINX, NONE),
        Row(POST_UNTIL_UNREADY, NGINX, NONE),
        Row(POST_UNTIL_UNREADY_MIN_2S, NGINX, NONE),
        Row(NO_HOOK, NGINX_KEPT, CHANCE),
        Row(sleep(5), NGINX_KEPT, NONE),
        Row(UNTIL_IDLE, NGINX_KEPT, NONE),
        Row(UNTIL_IDLE, NGINX_CLIENTS_KEPT, NONE),
        Row(NO_HOOK, ISTIO, CHANCE),
        Row(sleep(2), ISTIO, CHANCE),
        Row(sleep(5), ISTIO, NONE),
        Row(UNTIL_IDLE, ISTIO, NONE),
        Row(POST_UNTIL_IDLE, ISTIO, NONE),
        Row(POST_UNTIL_UNREADY, ISTIO, NONE),
        Row(sleep(20), ISTIO_SLOW, NONE),
        Row(UNTIL_IDLE, ISTIO_SLOW, NONE, times=3),
        Row(UNTIL_IDLE_AFTER_10S, ISTIO_SLOW, NONE),
        Row(NO_HOOK, ISTIO_OLD, CHANCE),
        Row(sleep(2), ISTIO_OLD, CHANCE),
        Row(sleep(5), ISTIO_OLD, CHANCE),
        Row(UNTIL_IDLE, ISTIO_OLD, NONE),
        Row(POST_UNTIL_IDLE, ISTIO_OLD, NONE),
        Row(POST_UNTIL_UNREADY, ISTIO_OLD, NONE),
        # Envoy ends five seconds after the deletion, whatever the hook of the app does.
        Row(UNTIL_IDLE, ISTIO_OLD_SLOW, FAILURES),
        *usual(TRAEFIK, FAILURES, CHANCE, CHANCE, NONE, NONE, NONE, NONE),
        *usual(SKIPPER, FAILURES, FAILURES, FAILURES, NONE, NONE, NONE, NONE),
        Row(UNTIL_IDLE, SKIPPER_AT_ONCE, NONE, times=2),
        # Later than the 5 s of --min: what cannot see requests must be told.
        *usual(SLOW_SKIPPER, FAILURES, FAILURES, FAILURES, FAILURES, NONE, NONE, FAILURES),
        Row(POST_UNTIL_UNREADY_MIN_12S, SLOW_SKIPPER, NONE),
        Row(sleep(12), SLOW_SKIPPER, NONE),
        # Routers that ask the app itself hear of nothing before the app does.
        *usual(HAPROXY, FAILURES, FAILURES, FAILURES, FAILURES, FAILURES, NONE, NONE, times=2),
        *usual(ENVOY, FAILURES, FAILURES, FAILURES, FAILURES, FAILURES, NONE, NONE, times=2),
        Row(POST_UNTIL_IDLE, ENVOY_NEW_CHECKS, NONE),
    ]


class Kept:
    """What was measured, one line of JSON for each time: what comes later adds to it, and to measure anew is to remove lines."""

    def __init__(self, path):
        self.path = path

    def lacks(self, row):
        """How many times the row is still to be measured."""
        measured = self.of(row)
        return max(0, row.times - measured.times) if measured else row.times

    def of(self, row):
        """All that was measured for a row as one, or None."""
        if not self.path.exists():
            return None
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        lines = [line for line in lines if (line["router"], line["hook"]) == row.key]
        if not lines:
            return None
        return Measured(
            times=len(lines),
            requests=sum(line["requests"] for line in lines),
            failed=sum(line["failed"] for line in lines),
            unanswered=sum(line.get("unanswered", 0) for line in lines),
            pods=[Pod(**pod) for line in lines for pod in line["pods"]],
        )

    def add(self, row, result, pods):
        line = {
            "router": row.condition.name,
            "hook": row.hook.name,
            "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "requests": result.requests,
            "failed": result.failed,
            "unanswered": result.unanswered,
            "errors": result.errors[:3],
            "pods": [dataclasses.asdict(pod) for pod in pods],
        }
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")


@dataclasses.dataclass
class Pod:
    """Seconds from the pod's deletion to its last request, to its SIGTERM, and to the last words of its sidecar."""

    last: float | None
    sigterm: float
    sidecar: float | None = None

    @property
    def was_still_asked(self):
        return self.last is not None and self.sigterm - self.last < STILL_ASKED


@dataclasses.dataclass
class Measured:
    times: int
    requests: int
    failed: int
    unanswered: int
    pods: list


def measure(row, following, url, watch):
    """Delete the pods under load. Returns what became of the requests, the pods, and which of them got SIGTERM too early."""
    old = {pod["metadata"]["name"]: pod for pod in kube.pods(rolling.NAMESPACE)}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        logs = dict(zip(old, pool.map(lambda name: kube.Log(name, rolling.NAMESPACE), old)))
    if following:
        deploy(following)
    # What is left of connections to pods that went without a word would catch new ones that get the same port.
    parts.run("conntrack", "--flush", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    condition = row.condition
    with contextlib.ExitStack() as at_the_end:
        traffic = condition.sends(url, condition.rate, condition.requests, condition.client, condition.inside)
        at_the_end.callback(traffic.kill)
        began = time.monotonic() + BEFORE
        for number, name in enumerate(old):
            time.sleep(max(0, began + number * APART - time.monotonic()))
            wait_for_pods(watch, PODS - MISSING_AT_MOST)
            kube.kubectl("delete", "pod", name, "--wait=false", namespace=rolling.NAMESPACE)
        kube.kubectl("wait", "--for=delete", "pod", *old, "--timeout=180s", namespace=rolling.NAMESPACE)
        wait_for_pods(watch, PODS)
        time.sleep(condition.settle)
        result = traffic.stop()
    deletions = kube.deletions()
    pods, early = [], []
    for name, pod in old.items():
        lines = logs[name].lines()
        deleted = deletions[rolling.NAMESPACE, name]
        sigterm = kube.sigterms(lines)["app"] - deleted
        last = [kube.timestamp(match[1]) - deleted for match in map(LAST_REQUEST_LINE.match, lines) if match]
        sidecar = [kube.timestamp(match[1]) - deleted for match in map(SIDECAR_LINE.match, lines) if match]
        pods.append(Pod(*(round(when[-1], 3) if when else None for when in (last, [sigterm], sidecar))))
        least = bounds.shortest_drain(pod, pod["spec"]["containers"][0])
        if sigterm < least:
            early.append(f"SIGTERM after {sigterm:.1f} s, before {least} s")
    return result, pods, early


def told(pods):
    lasts = " ".join("-" if pod.last is None else f"{pod.last:.1f}" for pod in pods)
    return f"last requests after {lasts} s, SIGTERM after {' '.join(f'{pod.sigterm:.1f}' for pod in pods)} s"


def deploy(row):
    """Make the pods that come from now on this row's, whatever those look like that are there."""
    manifest = replica_set(row)
    native = NATIVE_SIDECARS.get(row.condition.name)
    kube.apply(json.dumps(manifest) if native is None else istio.injected(manifest, native), rolling.NAMESPACE)


def wait_for_pods(watch, least):
    up.wait_until(f"{least} pods are ready", lambda: ready_pods(watch) >= least)


def ready_pods(watch):
    """How many pods are ready that nobody has deleted."""
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in list(watch.last_state.values())
        if "deletionTimestamp" not in pod["metadata"]
        for condition in pod["status"].get("conditions", [])
    )


def delete_pods():
    kube.kubectl("delete", "replicaset", "--all", "--cascade=orphan", namespace=rolling.NAMESPACE)
    kube.kubectl("delete", "pod", "--all", "--grace-period=1", namespace=rolling.NAMESPACE)


def replica_set(row):
    deployment = rolling.deployment(row)
    spec = {key: deployment["spec"][key] for key in ("selector", "template")} | {"replicas": PODS}
    return deployment | {"kind": "ReplicaSet", "spec": spec}


def failed_by_pods(row, measured):
    """How many requests failed, but for those on which a router that is reloaded has hung up."""
    return measured.failed - (measured.unanswered if row.condition in (NGINX, NGINX_KEPT, NGINX_CLIENTS_KEPT) else 0)


def outlived(measured):
    """The pods of each router that lived on until it had heard: those of the rows in which no request may fail."""
    pods = {}
    for row, result in measured:
        if row.expected == NONE and not failed_by_pods(row, result):
            pods.setdefault(row.condition.name, []).extend(pod for pod in result.pods if pod.last is not None)
    return pods
