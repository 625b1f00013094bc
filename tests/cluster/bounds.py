"""The least time that must pass between a pod's deletion and SIGTERM."""

import os
import re

import room


def shortest_drain(pod, container):
    """The seconds that must pass before the container gets SIGTERM."""
    annotations = pod["metadata"].get("annotations", {})
    expected = annotations.get(f"expect/sigterm-after-{container['name']}", annotations.get("expect/sigterm-after"))
    if expected:
        return float(expected)
    hook = container.get("lifecycle", {}).get("preStop", {})
    if "sleep" in hook:
        least = hook["sleep"]["seconds"]
    elif "exec" in hook:
        least = shortest_sleep(hook["exec"]["command"][1:], container.get("env", []))
    else:
        least = 0
    return min(least, pod["spec"]["terminationGracePeriodSeconds"])


def shortest_sleep(arguments, environment):
    """The least that drain-sleep sleeps when it is called like that, as it says itself."""
    values = {variable["name"]: variable.get("value", "") for variable in environment}
    plan = room.run(os.environ["DRAIN_SLEEP"], "--check", *arguments, env=values).stdout
    return float(re.search(r"(?:sleeping|draining for) ([\d.]+)s\b", plan)[1])
