"""The table of the rolling restarts as a picture: an SVG that suits light and dark pages."""

import html
import math
import statistics
from itertools import groupby

LINE = 26  # pixels from one row to the next
FAILED_AT, SECONDS_AT, WIDTH = 240, 500, 780  # where the bars of each kind begin, and where the picture ends
LONGEST_BAR = 180

FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
  text {{ font: 14px system-ui, sans-serif; fill: #1f2328; }}
  .head {{ font-weight: 600; }}
  .condition {{ font-style: italic; fill: #59636e; }}
  .failed {{ fill: #cf222e; }}
  .seconds {{ fill: #0969da; }}
  .axis {{ stroke: #59636e; }}
  .pod {{ fill-opacity: 0.4; }}
  @media (prefers-color-scheme: dark) {{
    text {{ fill: #f0f6fc; }}
    .condition {{ fill: #9198a1; }}
    .failed {{ fill: #f85149; }}
    .seconds {{ fill: #4493f8; }}
    .axis {{ stroke: #9198a1; }}
  }}
</style>
{shapes}
</svg>
"""


def svg(rows):
    """Two bars for each row, grouped by condition: the share of failed requests, and the seconds that a pod took."""
    most_failed = max(failed_percent(row) for row in rows) or 1
    most_seconds = max(row.median_seconds for row in rows) or 1
    shapes = [
        text(0, LINE, "preStop", "head"),
        text(FAILED_AT, LINE, "failed requests", "head"),
        text(SECONDS_AT, LINE, "deletion to SIGTERM, median", "head"),
    ]
    y = LINE
    for condition, group in groupby(rows, key=lambda row: row.condition.name):
        y += LINE * 1.4
        shapes.append(text(0, y, condition, "condition"))
        for row in group:
            y += LINE
            shapes.append(text(16, y, row.hook.name))
            shapes += bar(FAILED_AT, y, failed_percent(row) / most_failed, percent(row), "failed")
            shapes += bar(SECONDS_AT, y, row.median_seconds / most_seconds, f"{row.median_seconds:.1f} s", "seconds")
    return picture("Rolling restarts: failed requests and seconds per pod", WIDTH, y + LINE / 2, shapes)


MEDIAN_AT, MOST_AT, SCALE_AT, SCALE_WIDTH = 400, 465, 530, 380  # where the figures are, and second 0
SECOND = 34  # pixels from one second to the next
MIN = 5  # seconds: what `--min` is unless told otherwise


def lateness_svg(pods_of):
    """A line for each router, with a dot for each pod where its last request came."""
    longest = math.ceil(max(pod.last for pods in pods_of.values() for pod in pods))
    shapes = [
        text(0, LINE, "router", "head"),
        text(MEDIAN_AT, LINE, "median", "head"),
        text(MOST_AT, LINE, "most", "head"),
        text(SCALE_AT, LINE, "a pod's last request, seconds after its deletion", "head"),
    ]
    y = LINE * 2
    bottom = y + LINE * (len(pods_of) + 0.5)
    for second in range(longest + 1):
        x = SCALE_AT + second * SECOND
        shapes.append(text(x - 4, y, f"{second}", "condition"))
        shapes.append(axis(x, y + 8, bottom, "2 3" if second != MIN else ""))
    shapes.append(text(SCALE_AT + MIN * SECOND + 6, bottom, "the default of --min", "condition"))
    for router, pods in pods_of.items():
        y += LINE
        lasts = [pod.last for pod in pods]
        shapes.append(text(0, y, router))
        shapes.append(text(MEDIAN_AT, y, f"{statistics.median(lasts):z.1f} s"))
        shapes.append(text(MOST_AT, y, f"{max(lasts):.1f} s"))
        shapes += [dot(SCALE_AT + last * SECOND, y - 5) for last in lasts]
    return picture("How late routers are: a pod's last request after its deletion", SCALE_AT + SCALE_WIDTH, bottom + LINE / 2, shapes)


def dot(x, y):
    return f'<circle cx="{x:.1f}" cy="{y:.0f}" r="5" class="seconds pod"/>'


def axis(x, top, bottom, dashes):
    return f'<line x1="{x}" y1="{top:.0f}" x2="{x}" y2="{bottom:.0f}" class="axis" stroke-dasharray="{dashes}"/>'


def picture(title, width, height, shapes):
    return FRAME.format(title=title, width=width, height=round(height), shapes="\n".join(shapes))


def failed_percent(row):
    return 100 * row.result.failed / row.result.requests


def percent(row):
    return f"{failed_percent(row):.1f} %" if row.result.failed else "0"


def text(x, y, content, style="row"):
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{style}">{html.escape(content)}</text>'


def bar(x, y, share, label, style):
    length = share * LONGEST_BAR
    return [
        f'<rect x="{x}" y="{y - 14:.0f}" width="{length:.1f}" height="18" class="{style}"/>',
        text(x + length + 6, y, label),
    ]
