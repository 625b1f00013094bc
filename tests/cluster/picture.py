"""The table of the rolling restarts as a picture: an SVG that suits light and dark pages."""

import html
from itertools import groupby

LINE = 26  # pixels from one row to the next
FAILED_AT, SECONDS_AT, WIDTH = 240, 500, 780  # where the bars of each kind begin, and where the picture ends
LONGEST_BAR = 180

FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>Rolling restarts: failed requests and seconds per pod</title>
<style>
  text {{ font: 14px system-ui, sans-serif; fill: #1f2328; }}
  .head {{ font-weight: 600; }}
  .condition {{ font-style: italic; fill: #59636e; }}
  .failed {{ fill: #cf222e; }}
  .seconds {{ fill: #0969da; }}
  @media (prefers-color-scheme: dark) {{
    text {{ fill: #f0f6fc; }}
    .condition {{ fill: #9198a1; }}
    .failed {{ fill: #f85149; }}
    .seconds {{ fill: #4493f8; }}
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
    return FRAME.format(width=WIDTH, height=round(y + LINE / 2), shapes="\n".join(shapes))


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
