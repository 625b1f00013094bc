"""How late routers are, and what each hook makes of it: measured by `run --routers` alone, since it takes long; see README.md."""

import json

import kube
import lateness
import load
import parts
import pytest
import report
import rolling
import room


@pytest.fixture(scope="module")
def watch():
    kube.kubectl("create", "namespace", rolling.NAMESPACE)
    objects = [rolling.service(), rolling.ingress()]
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), rolling.NAMESPACE)
    yield kube.Watch()
    lateness.delete_pods()


@pytest.fixture(scope="module")
def url(request):
    """Of the router of a condition, which runs as long as the rows are of it."""
    if request.config.option.kept:
        yield None
    else:
        request.getfixturevalue("watch")  # whose namespace the router looks for
        with request.param.router() as url:
            yield url


pods_are_of = None  # the row that the pods which are there were made for


@pytest.mark.parametrize(
    "url, row",
    [room.row(row.name, row.condition, row) for row in lateness.table() for _ in range(row.times)],
    indirect=["url"],
)
def test_router(url, row, request):
    if not request.config.option.kept:
        measure(url, row, following(request), request.getfixturevalue("watch"))
    measured = report.KEPT.of(row)
    assert measured, "not measured"
    if row.expected == lateness.NONE:
        assert not lateness.failed_by_pods(row, measured)
    if row.expected == lateness.FAILURES:
        assert measured.failed, "the load does not show what it should"


def following(request):
    """The next row, if it is behind the same router: the pods that replace those of one row are the next row's."""
    items = request.session.items
    for item in items[items.index(request.node) + 1 :][:1]:
        row = item.callspec.params["row"]
        if row.condition is request.node.callspec.params["row"].condition:
            return row
    return None


def measure(url, row, next_row, watch):
    """Measure the row, and keep what comes of it at once."""
    global pods_are_of
    are_there, pods_are_of = pods_are_of is row, None
    if not are_there:
        lateness.delete_pods()
        lateness.deploy(row)
        lateness.wait_for_pods(watch, lateness.PODS)
    load.wait_until_routed(url, row.condition.inside)
    result, pods, early = lateness.measure(row, next_row, url, watch)
    report.KEPT.add(row, result, pods)
    pods_are_of = next_row
    parts.say(f"{row.name}: {result.failed} of {result.requests} failed, {lateness.told(pods)}")
    assert not early, early
