"""Makes the table of README.md from what the rows have measured."""

import os
import pathlib
import re
import shutil

from room import Room, go_programs, node_packages, once, python_programs, run
from servers import SEEN, SERVERS

HERE = pathlib.Path(__file__).parent
PACKAGES = {
    "apache2": "apache2",
    "caddy": "caddy",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "javac": "openjdk-17-jdk-headless",
    "lighttpd": "lighttpd",
    "mosquitto": "mosquitto",
    "mvn": "maven",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "pgbouncer": "pgbouncer",
    "php-fpm8.2": "php8.2-fpm",
    "puma": "puma",
    "redis-server": "redis-server",
    "nsenter": "util-linux",
    "unicorn": "unicorn",
    "uwsgi": "uwsgi-core",
    "/usr/lib/postgresql/*/bin/postgres": "postgresql",
    "/usr/lib/python3*/ensurepip": "python3-venv",
    "/usr/lib/uwsgi/plugins/python3_plugin.so": "uwsgi-plugin-python3",
}


def build():
    """Build what the commands of the rows name."""
    python = python_programs("servers-python", HERE / "requirements.txt")
    os.environ |= {
        "HERE": str(HERE),
        "GO": str(go_programs(HERE / "go") / "go"),
        "JAVA": str(once("servers-java", make_java, HERE / "java")),
        "NODE": str(node_packages("servers-node", HERE / "node")),
        "PYTHON": f"{python}/python",
        "ENVOY": str(next(python.parent.glob("lib/*/site-packages/envoy/_bin/envoy"))),
    }


def make_java(folder):
    shutil.copytree(HERE / "java", folder, dirs_exist_ok=True)
    run("mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=lib", cwd=folder)
    run("javac", "-cp", "lib/*", "App.java", cwd=folder)


COLUMNS = "kept", "asks old closes", "slow behind", "silent"
ROOM = Room(packages=PACKAGES, build=build, isolated=True, at_once=24)


def pytest_addoption(parser):
    parser.addoption("--readme", action="store_true", help="put the table into README.md")


def pytest_terminal_summary(terminalreporter, config):
    """The table of what was measured: a line for each server, a column for each load."""
    found = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for _, (server, load, expected, seconds) in report.user_properties:
            found[server, load] = f"{seconds:.1f}" + f" ({expected})" * (expected != SEEN)
    lines = ["| server | kept connections | a connection for each request | silent for 8 s | silent clients |", "|---|---|---|---|---|"]
    for server in (server for server in SERVERS if any(server.name == name for name, _ in found)):
        cells = [" · ".join(found.get((server.name, load), "–") for load in loads.split()) for loads in COLUMNS]
        lines.append(f"| {server.name} | {' | '.join(cells)} |")
    table = "\n".join(lines) + "\n"
    terminalreporter.write(f"\n{table}")
    if config.option.readme:
        readme = HERE / "README.md"
        before, _, after = re.split(r"(^\|.*\n)+", readme.read_text(), flags=re.MULTILINE)
        readme.write_text(before + table + after)
