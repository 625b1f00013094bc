"""Checks the examples: against the schemas of the Kubernetes API, which refuse unknown fields; against the Pod Security level
"restricted"; and every drain-sleep in them by the program's own --check. Every kustomize must make the same of the component.
tests/cluster runs what it makes, and shows what becomes of the policy."""

import functools
import json
import os
import pathlib
import re
import shutil
import tempfile

import program
import pytest
from room import ROOT, once, row, run

# 1.31 is the first that knows image volumes.
KUBERNETES_VERSIONS = ("1.31", "1.33", "1.35", "1.37")
VERSIONS_WITH_THE_POLICY = ("1.36", "1.37")  # MutatingAdmissionPolicy is stable
POLICY = ROOT / "examples/cluster.yaml"
KYVERNO = ROOT / "examples/kyverno.yaml"  # of a kind of Kyverno's own, which tests/cluster has judge it
README = ROOT / "examples/README.md"
COMPONENT = "examples/kustomize"
OVERLAY = "tests/cluster/kustomize"  # which has the component

# The oldest that the README names, which kubectl has since 1.25, and the one in the kubectl of tests/cluster.
OLDEST_KUSTOMIZE = "v4.5.7"
KUBERNETES_MODULES = (ROOT / "tests/cluster/parts/kubernetes/go.mod").read_text()
KUSTOMIZE = re.search(r"sigs\.k8s\.io/kustomize/kustomize/v5 (v\S+)", KUBERNETES_MODULES)[1]

IMAGE = "example.com/drain-sleep:1"
DEFAULT_GRACE_PERIOD = 30  # seconds, as Kubernetes has it


def example(name):
    """The text of an example, or what kustomize makes of the component."""
    return built(KUSTOMIZE) if name == "kustomize" else (ROOT / f"examples/{name}.yaml").read_text()


EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.yaml") if path not in (POLICY, KYVERNO))
each = pytest.mark.parametrize("name", [*EXAMPLES, "kustomize"])


@pytest.mark.parametrize("name", [*EXAMPLES, "kustomize", "try/app", "try/load"])
@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_takes_it(name, version):
    validate(example(name), version)


@each
def test_drain_sleep_takes_every_command(name):
    check_commands(example(name))


@each
def test_the_grace_period_outlasts_the_drain(name):
    check_grace_periods(example(name))


@each
def test_the_pod_security_level_is_restricted(name):
    check_restricted(example(name))


def test_init_container_checks_the_arguments_of_the_pods_hook():
    check_installs(example("init-container"))


def test_kustomize_gives_every_pod_the_hook_and_the_program_where_the_hook_looks_for_it():
    for pod in pods(built(KUSTOMIZE)):
        (volume,) = [v["name"] for v in pod["volumes"] if v["name"] == "drain-sleep"]
        (install,) = [c for c in pod["initContainers"] if "--install" in c["args"]]
        assert install["volumeMounts"] == [{"name": volume, "mountPath": install["args"][-1]}]
        first = pod["containers"][0]
        program = pathlib.Path(first["lifecycle"]["preStop"]["exec"]["command"][0])
        assert {"name": volume, "mountPath": str(program.parent), "readOnly": True} in first["volumeMounts"]


@pytest.mark.parametrize("version, in_flow_style", [
    row("oldest, block style", OLDEST_KUSTOMIZE, False),
    row("oldest, flow style", OLDEST_KUSTOMIZE, True),
    row("newest, flow style", KUSTOMIZE, True),
])
def test_kustomize_makes_the_same_of(version, in_flow_style):
    assert manifests(built(version, in_flow_style)) == manifests(built(KUSTOMIZE))


@pytest.mark.parametrize("version", VERSIONS_WITH_THE_POLICY)
def test_kubernetes_takes_the_policy(version):
    validate(POLICY.read_text(), version)


def test_kubernetes_1_35_has_no_such_policy():
    import kubernetes_validate

    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        validate(POLICY.read_text(), "1.35")


either_policy = pytest.mark.parametrize("policy", [row("cluster", POLICY), row("kyverno", KYVERNO)])


@either_policy
def test_drain_sleep_takes_every_option_of_the_policy(policy):
    check_options(policy.read_text())


@either_policy
def test_the_images_name_stands_once_in_the_policy(policy):
    assert policy.read_text().count(IMAGE) == 1


@either_policy
def test_no_chart_takes_the_policy_for_a_template(policy):
    assert "{{" not in policy.read_text()


@either_policy
@pytest.mark.parametrize("version", [row("oldest", OLDEST_KUSTOMIZE), row("newest", KUSTOMIZE)])
def test_a_kustomization_puts_in_another_image_and_changes_nothing_else(policy, version, tmp_path):
    """The one of the README. tests/cluster applies it."""
    (kustomization,) = re.findall(r"```yaml\n(# kustomization\.yaml\n.*?)```", README.read_text(), re.DOTALL)
    (image,) = re.findall(r"\"'(.*)'\"", kustomization)
    (tmp_path / "kustomization.yaml").write_text(kustomization.replace(POLICY.name, policy.name))
    shutil.copy(policy, tmp_path)
    made = run(kustomize(version), "build", tmp_path).stdout
    assert as_sorted_lines(made) == as_sorted_lines(policy.read_text().replace(IMAGE, image))


def as_sorted_lines(text):
    """kustomize sorts manifests, and doubles a line's end in a text that is folded, which means nothing to an expression."""
    return sorted(json.dumps(manifest, sort_keys=True).replace(r"\n\n", r"\n") for manifest in manifests(text))


def manifests(text):
    import yaml  # of the validator

    found = list(yaml.safe_load_all(text))
    assert found
    return found


def validate(text, version):
    import kubernetes_validate

    for manifest in manifests(text):
        validated = kubernetes_validate.validate(manifest, version, strict=True)
        assert validated == version, f"validated by the schema of {validated}"


def kustomize(version):
    """The program, built if need be."""
    assert shutil.which("go"), "Go is missing, which builds kustomize: see https://go.dev/dl/"
    package = f"sigs.k8s.io/kustomize/kustomize/{version.split('.')[0]}@{version}"

    def make(folder):
        run("nice", "go", "install", package, env=os.environ | {"GOBIN": folder, "CGO_ENABLED": "0"})

    return once(f"kustomize-{version}", make) / "kustomize"


@functools.cache
def built(version, in_flow_style=False):
    """What kustomize makes of the overlay, whose workloads can be in YAML's flow style, of which JSON is a form."""
    with tempfile.TemporaryDirectory() as copy:
        for folder in (COMPONENT, OVERLAY):
            shutil.copytree(ROOT / folder, f"{copy}/{folder}")
        if in_flow_style:
            workloads = pathlib.Path(copy, OVERLAY, "workloads.yaml")
            workloads.write_text("\n---\n".join(map(json.dumps, manifests(workloads.read_text()))))
        return run(kustomize(version), "build", f"{copy}/{OVERLAY}").stdout


def check_options(text):
    """The policy puts its command together from these; each is tried with a value of its kind."""
    values = {"--min": "5s", "--until-idle": "8080", "--log-file": "/proc/1/fd/2"}
    options = re.findall(r"[\"'](--[a-z-]+)=", text)
    assert len(options) == len(values), options
    for option in options:
        assert plan([f"{option}={values.get(option, '')}", "--", "20s"])


def pods(text):
    """The specifications of all pods, be they in a template."""
    specs = [m["spec"] if m["kind"] == "Pod" else m["spec"]["template"]["spec"] for m in manifests(text)]
    assert specs
    return specs


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def hooks(pod):
    """The arguments of the hooks that run drain-sleep."""
    commands = [c["lifecycle"]["preStop"]["exec"]["command"] for c in containers(pod) if "lifecycle" in c]
    assert commands, "no hook"
    for program, *_ in commands:
        assert pathlib.Path(program).name == "drain-sleep", program
    return [arguments for _, *arguments in commands]


def mains(pod):
    """The arguments of the containers that are drain-sleep."""
    ours = [c for c in containers(pod) if "/drain-sleep:" in c["image"]]
    return [c["command"][1:] if "command" in c else c["args"] for c in ours]


def plan(arguments):
    """What the program would do, which it says on its standard output."""
    return run(program.path(), "--check", *arguments).stdout


def check_commands(text):
    for pod in pods(text):
        for arguments in hooks(pod) + mains(pod):
            assert plan(arguments), arguments


def check_grace_periods(text):
    for pod in pods(text):
        for arguments in hooks(pod):
            (seconds,) = re.findall(r"(?:^sleeping|\bdraining for \S+ to) (\d+)s\b", plan(arguments))
            grace_period = pod.get("terminationGracePeriodSeconds", DEFAULT_GRACE_PERIOD)
            assert grace_period > int(seconds), f"{grace_period} s, and a drain of up to {seconds} s"


def check_installs(text):
    for pod in pods(text):
        for arguments in mains(pod):
            if "--install" in arguments:
                after_the_path = arguments[arguments.index("--install") + 2 :]
                assert after_the_path in hooks(pod), after_the_path


def check_restricted(text):
    for pod in pods(text):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, container["securityContext"]


# What these checks are worth: each refuses a broken copy of an example, for the right reason.


def in_the_oldest(text):
    validate(text, KUBERNETES_VERSIONS[0])


def in_the_newest(text):
    validate(text, KUBERNETES_VERSIONS[-1])


@pytest.mark.parametrize("name, old, new, check, reason", [
    ("pod", "lifecycle:", "lifecycles:", in_the_oldest, "'lifecycles' was unexpected"),
    ("pod", "lifecycle:", "lifecycles:", in_the_newest, "'lifecycles' was unexpected"),
    ("pod", "periodSeconds: 2", "periodSeconds: 2s", in_the_newest, "'2s' is not of type"),
    ("pod", "- --until-unready", "- --util-unready", check_commands, "did you mean --until-unready"),
    ("pod", '"20s"', '"20x"', check_commands, "20x"),
    ("pod", "PeriodSeconds: 35", "PeriodSeconds: 20", check_grace_periods, "20 s, and a drain of up to 20 s"),
    ("pod", "drop: [ALL]", "drop: [KILL]", check_restricted, "KILL"),
    ("init-container", '/drain-sleep", "20s"', '/drain-sleep", "25s"', check_installs, "20s"),
    ("cluster", "reinvocationPolicy:", "reinvokePolicy:", in_the_newest, "'reinvokePolicy' was"),
    ("cluster", "--until-idle=", "--util-idle=", check_options, "did you mean --until-idle"),
])
def test_it_is_refused_with(name, old, new, check, reason):
    text = example(name)
    check(text)
    assert old in text, "there is nothing to break"
    with pytest.raises(Exception, match=re.escape(reason)):
        check(text.replace(old, new))
