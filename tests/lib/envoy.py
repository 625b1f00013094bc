"""A configuration of Envoy's, which is long: one listener, in front of one cluster or none."""

import json

TYPES = "type.googleapis.com/envoy.extensions"


def configuration(listen, endpoints=(), filters=(), manager=(), cluster=(), **more):
    """Its text. It listens at an address and a port, and asks such endpoints, or else answers with 200 itself. The filters come before
    the router; the rest are more settings of the connection manager, of the cluster, and of all."""
    route = {"route": {"cluster": "app"}} if endpoints else {"direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
    connections = {
        "stat_prefix": "app",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}} | route]}]},
        "http_filters": [*filters, extension("http.router", "Router")],
    }
    chain = extension("network.http_connection_manager", "HttpConnectionManager", **connections | dict(manager))
    listener = {
        "name": "app",
        "traffic_direction": "INBOUND",
        "address": socket_address(listen),
        "filter_chains": [{"filters": [chain]}],
    }
    found = [{"endpoint": {"address": socket_address(endpoint)}} for endpoint in endpoints]
    app = {"name": "app", "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": found}]}} | dict(cluster)
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [app] if endpoints else []}} | more)


def extension(name, kind, **settings):
    """A filter."""
    return {"name": f"envoy.filters.{name}", "typed_config": {"@type": f"{TYPES}.filters.{name}.v3.{kind}"} | settings}


def socket_address(place):
    address, port = place
    return {"socket_address": {"address": address, "port_value": port}}
