"""An app in Python, started as `pyserver.py KIND ADDRESS`: HTTP by http.server, Starlette or Django, or gRPC by grpcio."""

import asyncio
import http.server
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        routes = {"/ready": 200, "/down": 503, "/to-ready": 302, "/to-down": 301, "/to-elsewhere": 302, "/loop": 302, "/big": 200}
        status = routes.get(self.path, 404)
        target = {"/to-ready": "/ready", "/to-down": "down", "/to-elsewhere": "//example.com", "/loop": "/loop"}.get(self.path)
        body = b"x" * (1 << 20 if self.path == "/big" else 3)
        self.send_response(status)
        if target:
            self.send_header("Location", target)
        if self.path == "/big":
            self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve_http(address):
    host, port = address.rsplit(":", 1)
    http.server.ThreadingHTTPServer((host, int(port)), App).serve_forever()


def serve_starlette(address):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    status = 200

    async def drain(_):
        nonlocal status
        status = 503
        return Response()

    async def drain_streaming(_):
        async def work():
            nonlocal status
            for _ in range(15):
                yield b"a chunk\n"
                await asyncio.sleep(0.1)  # where Starlette cancels it if the client has gone
            status = 503

        return StreamingResponse(work())

    async def ready(_):
        return Response(status_code=status)

    host, port = address.rsplit(":", 1)
    drains = Route("/drain/", drain, methods=["POST"]), Route("/drain-streaming", drain_streaming, methods=["POST"])
    app = Starlette(routes=[Route("/readyz", ready), *drains])
    uvicorn.run(app, host=host, port=int(port))


def serve_django(address):
    import wsgiref.simple_server

    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    status = 200

    def drain(_):
        nonlocal status
        status = 503
        return HttpResponse()

    routes = path("readyz", lambda _: HttpResponse(status=status)), path("drain/", drain)
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=routes, MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
    host, port = address.rsplit(":", 1)
    wsgiref.simple_server.make_server(host, int(port), get_wsgi_application()).serve_forever()


def serve_grpc(address):
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    status = health_pb2.HealthCheckResponse

    class Slow(health.HealthServicer):
        """Answers for two services late, as a busy server does."""

        def Check(self, request, context):
            time.sleep({"late": 1.5, "stuck": 10}.get(request.service, 0))
            return super().Check(request, context)

    servicer = Slow(experimental_non_blocking=False)
    server = grpc.server(ThreadPoolExecutor(8))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for service in ("", "up", "late", "stuck", "a.b/C d%é"):
        servicer.set(service, status.SERVING)
    servicer.set("down", status.NOT_SERVING)
    servicer.set("undecided", status.UNKNOWN)

    def flap():
        while True:
            for value in (status.SERVING, status.NOT_SERVING):
                servicer.set("flapping", value)
                time.sleep(0.3)

    def drain(*_):
        servicer.enter_graceful_shutdown()
        threading.Timer(1, server.stop, (5,)).start()

    threading.Thread(target=flap, daemon=True).start()
    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, lambda *_: server.stop(5))
    if not server.add_insecure_port(address):
        sys.exit(f"cannot listen on {address}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    kinds = {"http": serve_http, "starlette": serve_starlette, "django": serve_django, "grpc": serve_grpc}
    kinds[sys.argv[1]](sys.argv[2])
