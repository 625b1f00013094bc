"""What pods under load have in common: their hooks, the conditions that they are under, and the manifests."""

import dataclasses
from functools import partial

import load
import router
import up

NAMESPACE = router.NAMESPACE
REPLICAS = 4
MIN_READY_SECONDS = 3  # spreads the deletions, so that some fall far from a poll of the slowest router
GRACE_PERIOD = 60


@dataclasses.dataclass
class Hook:
    name: str
    pre_stop: dict | None  # in the manifest
    label: str = "disabled"  # of the namespace, drain-sleep=...: "enabled" has the API server add the hook

    @property
    def shown(self):
        """Its name in a table, where the program's arguments are code."""
        return f"`{self.name}`" if self.pre_stop is not None and "exec" in self.pre_stop else self.name


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
LATE_AND_CLOSED = Condition(
    "skipper polls every 10 s, ten requests a second for each pod, each on a new connection",
    router=partial(router.skipper, poll_seconds=10, keep_alive=False),
    settle=12,
    rate=f"{10 * REPLICAS}/1s",
    requests=("GET ?takes=0s",),
    client=("-keepalive=false",),
)
SLOW_ANSWERS = Condition("two requests a second, each of which takes 9 s", rate="2/1s", requests=("GET ?takes=9s",))
HEALTH_CHECKS = Condition("haproxy, by health checks alone", router=router.haproxy)
HTTP2 = Condition("haproxy, HTTP/2 throughout", router=partial(router.haproxy, protocol="h2"), client=("-h2c",))

FAILURES, NONE, CHANCE = "failures", "none", "chance decides"


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
