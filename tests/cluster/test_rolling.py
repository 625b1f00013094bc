"""Rolling restarts: a Deployment is restarted under load, once for each row of the table."""

import contextlib
import dataclasses
import json
import math
import statistics
import time

import bounds
import kube
import load
import policies
import pytest
import report
import room
from rolling import (
    BY_LABEL, CHANCE, FAILURES, FIXED, HEALTH_CHECKS, HTTP2, LATE, LATE_AND_CLOSED, LATE_AND_RARE, LINGERS, NAMESPACE, NEW_CONNECTIONS,
    NO_HOOK, NONE, POST_UNTIL_IDLE, POST_UNTIL_UNREADY, POST_UNTIL_UNREADY_MIN_12S, RARE, SLOW_ANSWERS, SOME_SLOW, UNTIL_IDLE,
    UNTIL_IDLE_MIN_12S, USUAL, Condition, Hook, deployment, ingress, service, sleep,
)

BEFORE_RESTART = 3  # seconds of load


@dataclasses.dataclass
class Row:
    hook: Hook
    condition: Condition
    expected: str
    short: bool = False  # part of the short form
    at_most: float = math.inf  # seconds per pod at the median; not judged in the short form, whose machine may be busy

    @property
    def name(self):
        return f"{self.hook.name}, {self.condition.name}"


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
        # Requests too quick to be seen open, each on a connection of its own, and so slow that their connections are silent.
        Row(UNTIL_IDLE, LATE_AND_CLOSED, NONE),
        Row(UNTIL_IDLE, SLOW_ANSWERS, NONE),
        # A router that asks the app itself hears of nothing before the app does.
        Row(FIXED, HEALTH_CHECKS, FAILURES),
        Row(POST_UNTIL_UNREADY, HEALTH_CHECKS, NONE),
        Row(POST_UNTIL_IDLE, HEALTH_CHECKS, NONE),
        Row(NO_HOOK, HTTP2, CHANCE),
        Row(POST_UNTIL_IDLE, HTTP2, NONE),
    ]


@pytest.fixture(scope="module")
def namespace():
    kube.kubectl("create", "namespace", NAMESPACE)
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [service(), ingress()]}), NAMESPACE)


LONG = pytest.mark.long  # not in the short form


@pytest.mark.parametrize("row", [room.row(row.name, row, marks=() if row.short else LONG) for row in table()])
def test_restart(row, namespace, request):
    if row.hook is BY_LABEL:
        policies.put_in_force(policies.CLUSTER)
    kube.kubectl("label", "--overwrite", "namespace", NAMESPACE, f"drain-sleep={row.hook.label}")
    result, pods = restart(row)
    seconds = [took for took, _ in pods]
    report.restarts.append(report.Restart(row.hook, row.condition, result, seconds, row.expected == NONE))
    for took, least in pods:
        assert took >= least, f"SIGTERM after {took:.1f} s, before {least} s"
        assert least or row.hook is not BY_LABEL, "there is no hook"
    if row.expected == NONE:
        assert not result.failed, result.errors
    if row.expected == FAILURES:
        assert result.failed, "the load does not show what it should"
    if not request.config.option.short:
        assert statistics.median(seconds) <= row.at_most


def restart(row):
    """Restart the Deployment. Returns what became of the requests, and each pod's seconds to SIGTERM with the least of them."""
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
        result = traffic.stop()
    deletions = kube.deletions()
    sigterms = {name: kube.sigterms(log.lines())["app"] for name, log in logs.items()}
    return result, [
        (sigterms[name] - deletions[NAMESPACE, name], bounds.shortest_drain(pod, pod["spec"]["containers"][0]))
        for name, pod in old_pods.items()
    ]


def delete_pods():
    kube.kubectl("delete", "deployment/app", namespace=NAMESPACE)
    kube.kubectl("delete", "pod", "--all", "--grace-period=1", namespace=NAMESPACE)


def wait_for_rollout():
    kube.kubectl("rollout", "status", "deployment/app", "--timeout=180s", namespace=NAMESPACE)
