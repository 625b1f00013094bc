"""The least time that must pass between a pod's deletion and SIGTERM."""

import re

FLAGS = {"--assume-ready", "--quiet", "-q"}  # the options of drain-sleep that take no value
DEFAULT_MIN = 5


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
    """The least that drain-sleep sleeps when it is called like that."""
    values = {variable["name"]: variable.get("value", "") for variable in environment}
    words = iter(re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], argument) for argument in arguments)
    durations, least, ends_early = [], DEFAULT_MIN, False
    for word in words:
        if word == "--":
            durations += map(seconds, " ".join(words).split())
        elif not word.startswith("-"):
            durations += map(seconds, word.split())
        elif word not in FLAGS:
            option, equals, value = word.partition("=")
            value = value if equals else next(words)
            ends_early |= option.startswith("--until-")
            least = seconds(value) if option == "--min" else least
    return min(least, sum(durations)) if ends_early else sum(durations)


def seconds(duration):
    match = re.fullmatch(r"([\d.]+)(ms|s|sec|m|min|)", duration)
    if not match:
        raise RuntimeError(f"cannot tell how long {duration!r} is")
    number, unit = match.groups()
    return float(number) * {"ms": 0.001, "m": 60, "min": 60}.get(unit, 1)
