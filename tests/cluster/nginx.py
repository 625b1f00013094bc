"""nginx as a router: ingress-nginx, and nginx that is reloaded for each change of the endpoints."""

import contextlib
import json
import shutil
import signal
import socket
import threading
import urllib.request

import kube
import parts
import router
import room
import up

INGRESS_NGINX = parts.Release("ingress-nginx", "k8s.io/ingress-nginx", ["./cmd/nginx"], keeps=["rootfs"])
PACKAGES = {
    "nginx": "nginx",
    "/usr/lib/nginx/modules/ngx_stream_module.so": "libnginx-mod-stream",
    "/usr/lib/nginx/modules/ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so": "libnginx-mod-http-headers-more-filter",
    "/usr/share/lua/5.1/cjson": "lua-cjson",
    "/usr/share/lua/5.1/resty/core.lua": "lua-resty-core",
}
# The controller's image has these built in.
MODULES = ["ngx_stream_module", "ndk_http_module", "ngx_http_lua_module", "ngx_http_headers_more_filter_module"]
# What Debian has no package of and ingress-nginx loads: the file of parts/ingress-nginx/lua that stands in for it.
STAND_INS = {
    "chash": "unused",
    "cookie": "unused",
    "dns/resolver": "unused",
    "global_throttle": "unused",
    "http": "unused",
    "ipmatcher": "unused",
    "lock": "unused",
    "roundrobin": "roundrobin",
}
CONTROLLER = "ingress-nginx"  # the name of its namespace, its pod and its settings


def install():
    """Install and build what the routers here are made of."""
    room.install_packages(PACKAGES)
    parts.build_release(INGRESS_NGINX)


@contextlib.contextmanager
def ingress_nginx():
    """It watches the API server, applies what has changed once in 3.3 s, and hands it to nginx's Lua code.

    The controller, its template and its Lua code are its own, nginx and its modules are Debian's.
    """
    settings = {
        "main-snippet": "".join(f"load_module /usr/lib/nginx/modules/{module}.so;\n" for module in MODULES),
        "use-http2": "false",  # from clients: the template has a directive for it that Debian's nginx is too old for
        "disable-access-log": "true",
    }
    # The controller looks its own pod up. This one never runs.
    spec = {"schedulerName": "none", "containers": [{"name": "controller", "image": up.APP_IMAGE}]}
    metadata = {"name": CONTROLLER, "namespace": CONTROLLER}
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CONTROLLER}}), CONTROLLER)
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}), CONTROLLER)
    kube.apply(
        json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": settings}), CONTROLLER
    )
    command = (
        parts.build_release(INGRESS_NGINX) / "nginx",  # so called, but the controller
        f"--kubeconfig={up.WORK}/kubeconfig",
        f"--configmap={CONTROLLER}/{CONTROLLER}",
        f"--http-port={router.PORT}",
        "--https-port=9443",
        "--watch-ingress-without-class",
        "--update-status=false",
        "--enable-metrics=false",
        "--profiling=false",
    )
    environment = {"POD_NAME": CONTROLLER, "POD_NAMESPACE": CONTROLLER, "NGINX_BINARY": shutil.which("nginx")}
    # In namespaces of its own: it writes to /etc and /tmp, and leaves nginx behind when it is killed.
    isolated = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", PREPARE, "-")
    folders = (root_of_ingress_nginx() / "etc", up.WORK / "ingress-nginx/work")
    with router.running(*isolated, *folders, *command, **environment):
        yield router.URL
    up.wait_until("nginx has ended, too", lambda: not is_listening(router.ADDRESS, router.PORT))


def is_listening(address, port):
    with socket.socket() as client:
        return not client.connect_ex((address, port))


PREPARE = """
mount -t overlay -o "lowerdir=/etc,upperdir=$1,workdir=$2" overlay /etc
mount -t tmpfs tmpfs /tmp
mkdir -p /tmp/nginx /var/log/nginx
shift 2
exec "$@"
"""


def root_of_ingress_nginx():
    """Lay out what the controller's image has, with what Debian's nginx lacks left out or stood in for."""
    root = up.WORK / "ingress-nginx"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(parts.build_release(INGRESS_NGINX) / "rootfs", root)
    for folder in "work", "etc/ingress-controller/telemetry":
        (root / folder).mkdir(parents=True)
    template = root / "etc/nginx/template/nginx.tmpl"
    # For services of TCP and UDP, which Debian's stream module, without Lua, cannot serve. The controller wants an answer.
    http, rest = template.read_text().split("\nstream {\n")
    definitions = rest[rest.index("{{/* definition of templates") :]
    stream = 'stream { server { listen 127.0.0.1:{{ .StreamPort }}; return ""; } }'
    template.write_text(f"{http}\n{stream}\n{definitions}")
    for name, stand_in in STAND_INS.items():
        module = root / f"etc/nginx/lua/resty/{name}.lua"
        module.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(parts.HERE / f"parts/ingress-nginx/lua/{stand_in}.lua", module)
    return root


@contextlib.contextmanager
def reloaded(keepalive=0):
    """nginx with a plain list of servers, which is written anew and reloaded at once for each change of the endpoints.

    It keeps so many connections to the pods open; with none it uses a new one for each request, as nginx does unless
    told otherwise.
    """
    endpoints = Endpoints()
    configuration = up.write("nginx.conf", reloaded_configuration(endpoints.addresses, keepalive))
    master = up.start("nginx", "-c", configuration)

    def reload():
        up.write("nginx.conf", reloaded_configuration(endpoints.addresses, keepalive))
        master.send_signal(signal.SIGHUP)

    endpoints.changed = reload
    try:
        yield router.URL
    finally:
        endpoints.changed = lambda: None
        master.terminate()
        master.wait()


class Endpoints(threading.Thread):
    """Watches the endpoints of the service, and calls `changed` when others are to get requests."""

    def __init__(self):
        super().__init__(daemon=True)
        self.slices = {}
        self.addresses = []
        self.changed = lambda: None
        url = f"{up.PROXY}/apis/discovery.k8s.io/v1/namespaces/{router.NAMESPACE}/endpointslices"
        for item in json.load(urllib.request.urlopen(url))["items"]:
            self.take(item)
        self.events = urllib.request.urlopen(f"{url}?watch=1&resourceVersion=0")
        self.start()

    def run(self):
        for event in map(json.loads, self.events):
            before = self.addresses
            self.take(event["object"])
            if self.addresses != before:
                self.changed()

    def take(self, endpoint_slice):
        self.slices[endpoint_slice["metadata"]["name"]] = endpoint_slice["endpoints"] or []
        endpoints = [endpoint for slice_ in self.slices.values() for endpoint in slice_]
        self.addresses = sorted(e["addresses"][0] for e in endpoints if e["conditions"]["ready"])


def reloaded_configuration(addresses, keepalive):
    servers = "".join(f"    server {address}:8080;\n" for address in addresses) or "    server 0.0.0.1;\n"
    kept = f"keepalive {keepalive};" if keepalive else ""
    to_keep = 'proxy_http_version 1.1; proxy_set_header Connection "";' if keepalive else ""
    return f"""
daemon off;
pid {up.WORK}/nginx.pid;
error_log stderr;
worker_processes auto;
events {{}}
http {{
  access_log off;
  upstream pods {{
{servers}    {kept}
  }}
  server {{
    listen {router.ADDRESS}:{router.PORT};
    location / {{
      proxy_pass http://pods;
      {to_keep}
    }}
  }}
}}
"""
