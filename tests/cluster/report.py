"""The results: one table in Markdown, what went wrong, and the closing line."""

from rolling import NONE


def report(hooks, rows):
    """Print everything and return the exit status."""
    measured = [row for row in rows if row.result]
    if measured:
        print()
        print_cells("preStop", "condition", "failed", "requests", "seconds per pod: median", "most")
        print_cells("---", "---", "---:", "---:", "---:", "---:")
        for row in measured:
            print_cells(
                f"`{row.hook.name}`" if row.hook.is_ours else row.hook.name,
                row.condition.name,
                f"{row.result.failed:,}",
                f"{row.result.requests:,}",
                f"{row.median_seconds:.1f}",
                f"{max(row.seconds):.1f}",
            )
        covered = [row.result for row in measured if row.expected == NONE]
        failed, requests = sum(result.failed for result in covered), sum(result.requests for result in covered)
        print(f"\nOf the {requests:,} requests in rows where none may fail, {failed:,} failed.")
    results = [*hooks, *rows]
    print()
    for result in results:
        for problem in result.problems:
            print(f"FAILED {result.label}: {problem}")
    broken = sum(bool(result.problems) for result in results)
    print(f"{len(results) - broken} passed, {broken} failed", flush=True)
    return 1 if broken or not results else 0


def print_cells(*cells):
    print("|", " | ".join(cells), "|")
