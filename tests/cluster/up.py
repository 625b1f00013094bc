"""Brings a cluster of one node up: the real parts, in the namespaces that isolation.py made."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import parts
from room import wait_until  # which others ask for here

WORK = pathlib.Path("/run/cluster")  # in memory, and in this run's mount namespace only
LOGS = WORK / "log"
AUDIT_LOG = WORK / "audit.jsonl"
PROXY_PORT = 8001
PROXY = f"http://127.0.0.1:{PROXY_PORT}"

# Addresses for documentation (RFC 5737): nothing real has them.
NODE_IP, GATEWAY_IP = "192.0.2.1", "192.0.2.2"
POD_SUBNET = "198.51.100.0/26"
SERVICE_SUBNET = "203.0.113.0/24"
DNS_IP = "203.0.113.10"  # nobody is there; without one the kubelet warns about every pod

APP_IMAGE = "example.com/app:1"
DRAIN_SLEEP_IMAGE = "example.com/drain-sleep:1"
PAUSE_IMAGE = "example.com/pause:1"


def up(cgroup, drain_sleep, app):
    """Start everything, and return when the node is ready for pods."""
    began = time.monotonic()
    LOGS.mkdir(parents=True)
    os.environ |= {
        "HOME": str(WORK),  # kubectl and buildah keep things there
        "KUBECONFIG": str(WORK / "kubeconfig"),
        "no_proxy": "*",  # no proxy of the machine's is of use in here
        "CONTAINERD_NAMESPACE": "k8s.io",  # where the kubelet's images are; for ctr
        "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS": "1",
    }
    network()
    containerd()
    images(drain_sleep, app)
    control_plane()
    kubelet(cgroup)
    start("kubectl", "proxy", f"--port={PROXY_PORT}")
    wait_until("kubectl proxy answers", lambda: succeeds("kubectl", f"--server={PROXY}", "get", "--raw=/readyz"))
    wait_until("the node is ready", node_is_ready)
    parts.say(f"the cluster is up after {time.monotonic() - began:.0f} s")


def network():
    # The kubelet wants a default route, and the node an address that it can name; a veth pair is enough for both.
    for command in (
        "ip link add node0 type veth peer name uplink0",
        f"ip address add {NODE_IP}/24 dev node0",
        "ip link set node0 up",
        "ip link set uplink0 up",
        f"ip route add default via {GATEWAY_IP}",
    ):
        parts.run(*command.split())
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def containerd():
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_SUBNET}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(WORK / "ipam"),
    }
    bridge = {"type": "bridge", "isGateway": True, "ipam": addresses}
    write("cni/bridge.conflist", json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}))
    config = write(
        "containerd.toml",
        f"""
        version = 3
        root = "{WORK}/containerd"
        # These two would make folders in /opt.
        disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
        [plugins."io.containerd.cri.v1.images".pinned_images]
        sandbox = "{PAUSE_IMAGE}"
        [plugins."io.containerd.cri.v1.runtime"]
        restrict_oom_score_adj = true
        [plugins."io.containerd.cri.v1.runtime".cni]
        bin_dirs = ["{parts.CNI_PLUGINS}"]
        conf_dir = "{WORK}/cni"
        """,
    )
    start("containerd", "--config", config)
    wait_until("containerd answers", lambda: succeeds("ctr", "version"))


def images(drain_sleep, app):
    # The examples that take the program from the app's own image find it there.
    build_image(APP_IMAGE, {"app": app, "drain-sleep": drain_sleep}, ["/app"])
    build_image(DRAIN_SLEEP_IMAGE, {"drain-sleep": drain_sleep}, ["/drain-sleep"])
    build_image(PAUSE_IMAGE, {"drain-sleep": drain_sleep}, ["/drain-sleep", "infinity"])


def build_image(name, files, entrypoint):
    """Make an image of files, which are given by their names in it."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        archive = f"{folder}/image.tar"
        storage = ("--storage-driver=vfs", f"--root={WORK}/buildah", f"--runroot={WORK}/buildah-run")
        for file, source in files.items():
            target = pathlib.Path(folder, "root", file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        containerfile = f"FROM scratch\nCOPY root /\nUSER 65532:65532\nENTRYPOINT {json.dumps(entrypoint)}\n"
        parts.run(
            *("buildah", *storage, "build", "--quiet", "--file=-", f"--tag={name}", folder),
            input=containerfile,
        )
        parts.run("buildah", *storage, "push", "--quiet", name, f"docker-archive:{archive}:{name}")
        parts.run("ctr", "images", "import", archive)


def control_plane():
    parts.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", SERVICE_ACCOUNT_KEY)
    write("kubeconfig", json.dumps(KUBECONFIG))
    start("etcd", f"--data-dir={WORK}/etcd", "--unsafe-no-fsync")
    start_api_server()
    for controller in ("kube-controller-manager", "kube-scheduler"):
        start(controller, f"--kubeconfig={WORK}/kubeconfig", "--leader-elect=false")


def start_api_server(*options):
    """Start the API server, or start it again with other options."""
    global api_server
    if api_server:
        api_server.kill()  # else it waits a minute for those who watch
        api_server.wait()
    api_server = start(
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={NODE_IP}",
        f"--service-cluster-ip-range={SERVICE_SUBNET}",
        f"--cert-dir={WORK}/certificates",
        f"--token-auth-file={write('tokens.csv', 'secret,admin,admin,system:masters')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={SERVICE_ACCOUNT_KEY}",
        f"--service-account-key-file={SERVICE_ACCOUNT_KEY}",
        "--disable-admission-plugins=ServiceAccount",
        "--kubelet-preferred-address-types=InternalIP",  # else `kubectl logs` looks the node's name up
        # When each pod's deletion was asked for, to the microsecond; deletionTimestamp has whole seconds only.
        f"--audit-log-path={AUDIT_LOG}",
        f"--audit-policy-file={write('audit.json', json.dumps(AUDIT_POLICY))}",
        *options,
    )
    wait_until("the API server is ready", lambda: succeeds("kubectl", "get", "--raw=/readyz"))


api_server = None
SERVICE_ACCOUNT_KEY = WORK / "service-account.key"


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["ResponseStarted", "ResponseComplete"],
    "rules": [
        {"level": "Metadata", "verbs": ["delete"], "resources": [{"group": "", "resources": ["pods"]}]},
        {"level": "None"},
    ],
}

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "test",
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    "clusters": [{"name": "test", "cluster": {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}}],
    "users": [{"name": "admin", "user": {"token": "secret"}}],
}


def kubelet(cgroup):
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "resolvConf": "",
        "clusterDNS": [DNS_IP],
        "podLogsDir": str(WORK / "pods"),
        "volumePluginDir": str(WORK / "volume-plugins"),
    }
    start(
        "kubelet",
        f"--config={write('kubelet.json', json.dumps(config))}",
        f"--kubeconfig={WORK}/kubeconfig",
        f"--root-dir={WORK}/kubelet",
        f"--node-ip={NODE_IP}",
        "--hostname-override=node",
    )


def node_is_ready():
    return succeeds("kubectl", "wait", "--for=condition=Ready", "node/node", "--timeout=1s")


def start(*command, **environment):
    """Start a part that runs until the end of the namespace. Its output goes to a file named after it."""
    with open(LOGS / f"{command[0]}.log", "ab") as log:
        environment = os.environ | environment
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def print_logs():
    """Print the end of what each part said, for when something went wrong."""
    for log in sorted(LOGS.iterdir()):
        print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-8:], sep="\n")


def write(name, text):
    path = WORK / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def succeeds(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
