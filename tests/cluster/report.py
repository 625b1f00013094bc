"""The results: one table in Markdown, what went wrong, and the closing line."""

import dataclasses
import statistics

import lateness
import load
import parts
import picture
import rolling
from rolling import NONE

PODS_IN_PICTURE = 30  # at least, for a router to be in it
KEPT = lateness.Kept(parts.HERE / "routers.jsonl")  # what was measured of routers

restarts = []


@dataclasses.dataclass
class Restart:
    """What came of a rolling restart."""

    hook: rolling.Hook
    condition: rolling.Condition
    result: load.Result
    seconds: list  # from each pod's deletion to its SIGTERM
    none_may_fail: bool

    @property
    def median_seconds(self):
        return statistics.median(self.seconds)


def print_restarts():
    """Print the table of the rolling restarts that were measured."""
    print_cells("preStop", "condition", "failed", "requests", "seconds per pod: median", "most")
    print_cells("---", "---", "---:", "---:", "---:", "---:")
    for restart in restarts:
        print_cells(
            restart.hook.shown,
            restart.condition.name,
            f"{restart.result.failed:,}",
            f"{restart.result.requests:,}",
            f"{restart.median_seconds:.1f}",
            f"{max(restart.seconds):.1f}",
        )
    covered = [restart.result for restart in restarts if restart.none_may_fail]
    failed, requests = sum(result.failed for result in covered), sum(result.requests for result in covered)
    print(f"\nOf the {requests:,} requests in rows where none may fail, {failed:,} failed.")


def print_routers(picture_file):
    """Print all that is kept of the routers, and draw it."""
    measured = [(row, result) for row in lateness.table() if (result := KEPT.of(row))]
    print()
    seconds, last = ("seconds per pod: median", "most"), ("last request: median", "most")
    print_cells("router", "preStop", "failed", "requests", *seconds, *last)
    print_cells("---", "---", *("---:",) * 6)
    for row, result in measured:
        seconds = [pod.sigterm for pod in result.pods]
        print_cells(
            row.condition.name,
            row.hook.shown,
            f"{result.failed:,}",
            f"{result.requests:,}",
            f"{statistics.median(seconds):.1f}",
            f"{max(seconds):.1f}",
            *last_requests(result.pods),
        )
    print()
    print_cells("router", "pods", *last)
    print_cells("---", *("---:",) * 3)
    for router, pods in lateness.outlived(measured).items():
        print_cells(router, str(len(pods)), *last_requests(pods))
    print()
    print_cells("router", "preStop", "SIGTERM of the app: median", "end of the sidecar: median")
    print_cells("---", "---", *("---:",) * 2)
    for row, result in measured:
        ends = [pod.sidecar for pod in result.pods if pod.sidecar is not None]
        if ends:
            medians = (f"{statistics.median(times):.1f}" for times in ([pod.sigterm for pod in result.pods], ends))
            print_cells(row.condition.name, row.hook.shown, *medians)
    covered = [result for row, result in measured if row.expected == NONE]
    failed, requests = sum(result.failed for result in covered), sum(result.requests for result in covered)
    unanswered = sum(result.unanswered for result in covered)
    print(f"\nOf the {requests:,} requests in rows where none may fail, {failed:,} failed: the router hung up on {unanswered:,}.")
    if picture_file:
        enough = {name: pods for name, pods in lateness.outlived(measured).items() if len(pods) >= PODS_IN_PICTURE}
        picture_file.write_text(picture.lateness_svg(enough))


def last_requests(pods):
    """The median and the most of the last requests; a pod that was asked to its end tells how late at least."""
    lasts = [pod.last for pod in pods if pod.last is not None]
    if not lasts:
        return "–", "–"
    least = "≥ " if any(pod.was_still_asked for pod in pods) else ""
    return f"{statistics.median(lasts):z.1f}", f"{least}{max(lasts):.1f}"


def print_cells(*cells):
    print("|", " | ".join(cells), "|")
