"""An app in Python, for WSGI and for ASGI."""

import asyncio
import time

SLOW = 8
BODY = b"ok\n"
LENGTH = str(len(BODY))


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(SLOW)
    start_response("200 OK", [("Content-Length", LENGTH)])
    return [BODY]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOW)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", LENGTH.encode())]})
    await send({"type": "http.response.body", "body": BODY})
