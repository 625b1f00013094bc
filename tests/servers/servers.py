"""The servers: a row is how one is started, and which loads are not seen as usual."""

import dataclasses

import envoy

PORT = 8080  # that clients talk to
# What a drain makes of a load.
SEEN = "seen"  # it lasts as long as the load does
LATER = "later"  # it lasts up to 5 s longer
UNSEEN = "not seen"  # it calls the port idle before the load has ended
CHANCE = "by chance"  # seen or not seen, another time the other way
HELD = "held"  # it lasts for DURATION

# A client that closes first takes the trace with it, unless the server closes after every answer.
KEEPS = {"kept": SEEN, "asks": SEEN, "old": SEEN, "closes": UNSEEN, "slow": SEEN, "behind": SEEN, "silent": SEEN}
CLOSES = KEEPS | {"closes": SEEN}
# Head and body leave in two segments, whose acknowledgments hide in which order a request and an answer have passed in one tick.
TWO_WRITES = KEEPS | {"behind": CHANCE}
OTHERS = KEEPS | {"old": None}  # protocols other than HTTP


@dataclasses.dataclass
class Server:
    """Its commands are the shell's. They run in a folder of their own, $HOME, that has these files."""

    name: str
    command: str
    files: dict = dataclasses.field(default_factory=dict)
    beside: str = ""  # a second process of the pod's
    router: str = ""  # a process outside the pod, which the clients talk to at the same port
    protocol: str = "http"
    watched: int = PORT  # the port of the drain
    loads: dict = dataclasses.field(default_factory=lambda: KEEPS)  # what is made of each; None where there is no such load
    is_short: bool = False  # whether it is a row of the short form


# The last frame of a silent call over HTTP/2 is often the client's PING, within the tick of the server's own.
GRPC = OTHERS | {"kept": LATER, "asks": None, "slow": CHANCE, "behind": CHANCE}

GO = "exec $GO http 0.0.0.0:8080"
GO_BEHIND = "exec $GO http 127.0.0.1:9000"
JAVA = 'exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JAVA:$JAVA/lib/*" App'
GUNICORN = "exec $PYTHON -m gunicorn --chdir $HERE --bind 0.0.0.0:8080 --workers 2"
POSTGRES = "exec setpriv --reuid postgres --regid postgres --clear-groups"
NGINX = "exec nginx -e stderr -p $HOME -c nginx.conf -g 'daemon off; user root;'"
APACHE = "exec apache2 -D FOREGROUND -f $HOME/apache.conf -C 'LoadModule mpm_{0}_module /usr/lib/apache2/modules/mod_mpm_{0}.so'"


def nginx(server):
    return {
        "nginx.conf": f"""
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    server {{ listen 8080; {server} }}
}}
"""
    }


FILES = {"index.html": "ok\n"}
CGI = FILES | {"slow.cgi": "#!/bin/sh\nsleep 8\nprintf 'Content-Length: 3\\r\\n\\r\\nok\\n'\n"}
APACHE_FILES = CGI | {
    "apache.conf": """
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
Listen 8080
ServerName localhost
User www-data
Group www-data
PidFile ${HOME}/apache.pid
ErrorLog /dev/stderr
DefaultRuntimeDir ${HOME}
DocumentRoot ${HOME}
ScriptAlias /slow ${HOME}/slow.cgi
<Directory ${HOME}>
    Require all granted
</Directory>
"""
}
# It closes its idle connections after 5 s, and leaves those that have not said a word in the kernel (TCP_DEFER_ACCEPT).
APACHE_LOADS = KEEPS | {"kept": LATER, "silent": HELD}
LIGHTTPD_FILES = CGI | {
    "lighttpd.conf": """
server.modules = ("mod_alias", "mod_cgi")
index-file.names = ("index.html")
server.port = 8080
server.document-root = env.HOME
alias.url = ("/slow" => env.HOME + "/slow.cgi")
cgi.assign = (".cgi" => "")
"""
}
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
listen app
    bind :8080
    server app 127.0.0.1:9000
"""
ENVOY = envoy.configuration(("0.0.0.0", 8080), [("127.0.0.1", 9000)], manager={"http_protocol_options": {"accept_http_10": True}})
PGBOUNCER = """
[databases]
postgres = host=127.0.0.1 user=postgres
[pgbouncer]
listen_addr = *
listen_port = 8080
unix_socket_dir =
auth_type = any
"""

SERVERS = [
    Server("Go", GO, is_short=True),
    Server("Go behind nginx", GO, nginx("location / { proxy_pass http://192.0.2.1:8080; }"), router=NGINX, loads=CLOSES),
    Server("Node", "exec node $NODE/server.js", is_short=True),
    Server("Tomcat", f"{JAVA} tomcat"),
    Server("Netty", f"{JAVA} netty"),
    Server("gunicorn, sync", f"{GUNICORN} app:wsgi", loads=CLOSES, is_short=True),
    Server("gunicorn, gthread", f"{GUNICORN} --threads 8 app:wsgi", loads=TWO_WRITES | {"kept": LATER}),
    Server(
        "uWSGI",
        "exec uwsgi --plugins http,python3 --http 0.0.0.0:8080 --chdir $HERE --module app:wsgi --master --processes 2"
        " --die-on-term",
        loads=CLOSES | {"silent": LATER},  # TCP_DEFER_ACCEPT as well, but for 8 s
    ),
    Server("uvicorn", "exec $PYTHON -m uvicorn --app-dir $HERE --host 0.0.0.0 --port 8080 app:asgi", loads=TWO_WRITES | {"kept": LATER}),
    Server("hypercorn", "cd $HERE && exec $PYTHON -m hypercorn --bind 0.0.0.0:8080 app:asgi", loads=TWO_WRITES | {"kept": LATER, "closes": SEEN}),
    Server("waitress", "cd $HERE && exec $PYTHON -m waitress --listen 0.0.0.0:8080 app:wsgi", loads=TWO_WRITES),
    Server("Puma", "exec puma --bind tcp://0.0.0.0:8080 $HERE/config.ru"),
    Server("Unicorn", "exec unicorn --listen 0.0.0.0:8080 $HERE/config.ru", loads=CLOSES),
    Server(
        "PHP-FPM behind nginx",
        "exec php-fpm8.2 --nodaemonize --allow-to-run-as-root --fpm-config fpm.conf",
        nginx("location / { include /etc/nginx/fastcgi.conf; fastcgi_param SCRIPT_FILENAME $document_root/app.php;"
              " fastcgi_pass 127.0.0.1:9000; root .; }")
        | {
            "app.php": "<?php if ($_SERVER['REQUEST_URI'] == '/slow') sleep(8); echo 'ok';",
            "fpm.conf": "[global]\nerror_log = /dev/stderr\n[www]\nuser = www-data\nlisten = 127.0.0.1:9000\npm = static\npm.max_children = 5\n",
        },
        beside=NGINX,
        watched=9000,
        loads=CLOSES,
    ),
    Server("nginx, static", NGINX, nginx("root .; dav_methods PUT;") | FILES, protocol="upload"),
    Server("nginx, proxy", NGINX, nginx("location / { proxy_pass http://127.0.0.1:9000; }"), GO_BEHIND, is_short=True),
    Server("Apache, prefork", APACHE.format("prefork"), APACHE_FILES, loads=APACHE_LOADS),
    Server("Apache, event", APACHE.format("event"), APACHE_FILES, loads=APACHE_LOADS),
    Server("lighttpd", "exec lighttpd -D -f lighttpd.conf", LIGHTTPD_FILES, loads=KEEPS | {"kept": LATER}),
    Server("Caddy", "exec caddy reverse-proxy --from :8080 --to 127.0.0.1:9000", beside=GO_BEHIND),
    Server("HAProxy", "exec haproxy -db -f haproxy.cfg", {"haproxy.cfg": HAPROXY}, GO_BEHIND),
    Server("Envoy", "exec $ENVOY -c envoy.yaml --disable-hot-restart --concurrency 1", {"envoy.yaml": ENVOY}, GO_BEHIND),
    Server("gRPC, Go", "exec $GO grpc 0.0.0.0:8080", protocol="grpc", loads=GRPC),
    Server("gRPC, Java", f"{JAVA} grpc", protocol="grpc", loads=GRPC),
    Server("WebSocket, Node", "exec node $NODE/server.js", protocol="websocket", loads=OTHERS),
    Server("Events, Go", GO, protocol="events", loads=OTHERS | {"slow": UNSEEN, "behind": None}),
    Server(
        "PgBouncer",
        f"{POSTGRES} pgbouncer pgbouncer.ini",
        {"pgbouncer.ini": PGBOUNCER},
        beside=f"""cd /usr/lib/postgresql/*/bin && {POSTGRES} sh -c './initdb -A trust -D $HOME/data && exec ./postgres -D $HOME/data -k ""'""",
        protocol="postgres",
        loads=OTHERS,
        is_short=True,
    ),
    Server("Redis", "exec redis-server --port 8080 --protected-mode no --save ''", protocol="redis", loads=OTHERS),
    Server(
        "Mosquitto",
        "exec mosquitto -c mosquitto.conf",
        {"mosquitto.conf": "listener 8080 0.0.0.0\nallow_anonymous true\n"},
        protocol="mqtt",
        loads=OTHERS | {"slow": None, "behind": None},
    ),
]
