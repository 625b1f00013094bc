"""Istio's sidecars as a router: in the pods, and beside the client, whose load is started in its network namespace."""

import contextlib
import json
import os
import pathlib
import re
import shutil

import kube
import parts
import router
import room
import up

PROGRAMS = ["./pilot/cmd/pilot-discovery", "./pilot/cmd/pilot-agent", "./istioctl/cmd/istioctl"]
BOOTSTRAP = "tools/packaging/common/envoy_bootstrap.json"
ISTIO = parts.Release("istio", "istio.io/istio", PROGRAMS, keeps=["manifests", BOOTSTRAP])

NAMESPACE = "istio-system"
ISTIOD = f"istiod.{NAMESPACE}.svc"  # its certificate is for this name
IPTABLES = ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"]
PROXY_IMAGE = "example.com/istio-proxy:1"
VALUES = {
    "values.global.proxy.image": PROXY_IMAGE,
    "values.global.proxy_init.image": PROXY_IMAGE,
    "values.telemetry.enabled": "false",  # its filters are Istio's own, which Envoy as it comes does not have
    "values.pilot.autoscaleEnabled": "false",
}
# More filters of Istio's own, which only its build of Envoy has.
FILTERS_OFF = {"PILOT_ENABLE_ALPN_FILTER": "false", "PILOT_ENABLE_METADATA_EXCHANGE": "false"}

CLIENT = "client"  # a pod
CLIENT_NETWORK = up.WORK / "client-network"  # its network namespace
INSIDE_CLIENT = ("nsenter", f"--net={CLIENT_NETWORK}")


def install():
    """Build what the mesh is made of, and put it on PATH."""
    room.install_packages({"iptables": "iptables"})
    os.environ["PATH"] = f"{parts.build_release(ISTIO)}:{os.environ['PATH']}"


@contextlib.contextmanager
def istio():
    """istiod watches the API server, and tells the Envoy in each pod of each change at once."""
    build_proxy_image()
    apply_manifests()
    environment = {"POD_NAME": "istiod", "POD_NAMESPACE": NAMESPACE, "REVISION": "default"}
    istiod = (
        *("pilot-discovery", "discovery", f"--kubeconfig={up.WORK}/kubeconfig", f"--namespace={NAMESPACE}"),
        *("--clusterID=Kubernetes", f"--meshConfig={up.WORK}/istio/mesh"),
    )
    with router.running(*istiod, PILOT_CERT_PROVIDER="istiod", **environment, **FILTERS_OFF):
        client = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": CLIENT},
            "spec": {"containers": [{"name": "app", "image": up.APP_IMAGE}]},
        }
        kube.apply(injected(client), "default")
        kube.kubectl("wait", "--for=condition=Ready", f"pod/{CLIENT}", "--timeout=120s")
        CLIENT_NETWORK.touch()
        parts.run("mount", "--bind", f"/proc/{pid_in(CLIENT)}/ns/net", CLIENT_NETWORK)
        try:
            yield f"http://{router.CLUSTER_IP}:8080/"
        finally:
            parts.run("umount", CLIENT_NETWORK)
            kube.kubectl("delete", "pod", CLIENT, "--grace-period=1")


def apply_manifests():
    """What istioctl would install, but for istiod itself, which runs outside, and the webhooks that it would serve."""
    manifests = parts.build_release(ISTIO) / "manifests"
    settings = [f"--set={name}={value}" for name, value in VALUES.items()]
    command = ("istioctl", "manifest", "generate", f"--manifests={manifests}", "--set=profile=minimal", *settings)
    generated = parts.run(*command).stdout
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}), "default")
    kube.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", namespace=NAMESPACE, input=generated)
    kube.kubectl("delete", "deployment", "istiod", namespace=NAMESPACE)
    webhooks = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
    kube.kubectl("delete", webhooks, "--selector=app in (sidecar-injector,istiod)")
    for settings, key in ("istio", "mesh"), ("istio-sidecar-injector", "config"), ("istio-sidecar-injector", "values"):
        content = kube.kubectl("get", "configmap", settings, f"--output=jsonpath={{.data.{key}}}", namespace=NAMESPACE)
        up.write(f"istio/{key}", content)


def injected(manifest, native=True):
    """The manifest as `istioctl kube-inject` makes it, with a native sidecar or one of the old kind."""
    template = manifest if manifest["kind"] == "Pod" else manifest["spec"]["template"]
    template["metadata"].setdefault("annotations", {})["sidecar.istio.io/nativeSidecar"] = json.dumps(native)
    # Nobody is the cluster's DNS, and no admission plugin sets the service account, whose token the sidecar needs.
    template["spec"]["hostAliases"] = [{"ip": up.NODE_IP, "hostnames": [ISTIOD]}]
    template["spec"]["serviceAccountName"] = "default"
    files = {"injectConfigFile": "config", "meshConfigFile": "mesh", "valuesFile": "values"}
    options = (f"--{option}={up.WORK}/istio/{file}" for option, file in files.items())
    command = ("istioctl", "kube-inject", "--filename=-", *options)
    return parts.run(*command, input=json.dumps(manifest)).stdout


def pid_in(pod):
    """A process in the pod's network namespace, as seen from here."""
    (status,) = json.loads(kube.kubectl("get", "pod", pod, "--output=json"))["status"]["containerStatuses"]
    container = status["containerID"].removeprefix("containerd://")
    tasks = parts.run("ctr", "tasks", "list").stdout
    return re.search(rf"^{container}\s+(\d+)", tasks, re.MULTILINE)[1]


def build_proxy_image():
    """Istio's agent, Envoy, and iptables with what it loads."""
    programs = {f"usr/local/bin/{name}": shutil.which(name) for name in ("pilot-agent", "envoy")}
    programs |= {f"usr/sbin/{name}": shutil.which(name) for name in IPTABLES}
    extensions = pathlib.Path("/usr/lib/x86_64-linux-gnu/xtables").glob("lib*.so")
    libraries = {str(file)[1:]: file for file in (*extensions, *libraries_of(*programs.values()))}
    bootstrap = parts.build_release(ISTIO) / pathlib.Path(BOOTSTRAP).name
    files = programs | libraries | {"var/lib/istio/envoy/envoy_bootstrap_tmpl.json": bootstrap}
    up.build_image(PROXY_IMAGE, files, ["/usr/local/bin/pilot-agent"])


def libraries_of(*programs):
    """The files that the dynamic linker loads for the programs, itself among them."""
    told = "".join(parts.run("ldd", program, check=False).stdout for program in programs)
    return set(re.findall(r"(/\S+) \(0x", told))
