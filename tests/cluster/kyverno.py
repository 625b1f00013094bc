"""Kyverno's own admission controller, which runs outside the cluster: its images cannot be pulled here."""

import pathlib
import shutil

import kube
import parts
import up

NAMESPACE = "kyverno"
ENVIRONMENT = {
    "INIT_CONFIG": "kyverno",
    "KYVERNO_DEPLOYMENT": "kyverno-admission-controller",
    "KYVERNO_NAMESPACE": NAMESPACE,
    "KYVERNO_POD_NAME": "kyverno-outside",
    "KYVERNO_ROLE_NAME": "kyverno:admission-controller",
    "KYVERNO_SERVICEACCOUNT_NAME": "kyverno-admission-controller",
    "KYVERNO_SVC": "kyverno-svc",
    "METRICS_CONFIG": "kyverno-metrics",
}

_controller = None


def start():
    """Start it, for the first time or again."""
    global _controller
    if _controller is None:
        # Custom resources, roles and settings. It is too large for `kubectl apply`, which would keep it in an annotation.
        kube.kubectl("create", f"--filename={resources()}", namespace=NAMESPACE)
        kube.kubectl("delete", "deployment", "--all", namespace=NAMESPACE)
    account = f"--{{}}ServiceAccountName=system:serviceaccount:{NAMESPACE}:kyverno-{{}}-controller"
    _controller = up.start(
        "kyverno",
        f"--kubeconfig={up.WORK}/kubeconfig",
        f"--serverIP={up.NODE_IP}:9443",
        account.format("background", "background"),
        account.format("reports", "reports"),
        f"--caSecretName=kyverno-svc.{NAMESPACE}.svc.kyverno-tls-ca",
        f"--tlsSecretName=kyverno-svc.{NAMESPACE}.svc.kyverno-tls-pair",
        **ENVIRONMENT,
    )


def kill():
    """As when its node has gone: its webhooks stay registered."""
    _controller.kill()
    _controller.wait()


def stop():
    """End it, and what it registered, if it runs."""
    if _controller is not None:
        _controller.terminate()  # it then gives up its lease, which the next would wait for
        _controller.wait()
        for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
            names = kube.kubectl("get", kind, "--output=name").split()
            if ours := [name for name in names if "kyverno" in name]:
                kube.kubectl("delete", *ours)


def resources():
    return pathlib.Path(shutil.which("kyverno")).parent / pathlib.Path(parts.KYVERNO_RESOURCES).name
