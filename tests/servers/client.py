"""Clients of the servers, each a load: `client.py PROTOCOL HOST PORT LOAD`.

Says "ready" once the load is on. Stays connected after it, until stdin ends, and then says when the load ended, on the clock
that all processes share, and how many requests failed."""

import asyncio
import contextlib
import json
import struct
import sys
import time

LASTS = 12  # seconds of a load
CONNECTIONS = 5
INTERVAL = 0.1  # from one request to the next: ten a second
START = 60  # the most seconds that a server may take until it answers
ANSWER = 20  # and until it has answered a request
ASKS, OLD, CLOSES = "asks", "old", "closes"  # how a connection of one request ends


class Connection:
    """A connection over TCP whose client says goodbye, or just closes."""

    GOODBYE = b""

    def __init__(self, load):
        self.load = load
        self.is_open = False

    async def open(self, host, port):
        self.reader, self.writer = await asyncio.open_connection(host, port)
        self.is_open = True

    async def close(self):
        if self.is_open and self.load == ASKS:
            self.writer.write(self.GOODBYE)
            await self.reader.read()  # until the server has closed
        self.drop()

    async def gone(self):
        """Wait until the server has closed, and close then, as pools do."""
        while not self.reader.at_eof():
            await asyncio.sleep(0.05)
        self.drop()

    def drop(self):
        self.is_open = False
        self.writer.close()

    def expect(self, got, wanted):
        if got != wanted:
            raise OSError(f"{got!r} instead of {wanted!r}")


class Http(Connection):
    async def ask(self, slow=False):
        self.say("GET", "/slow" if slow else "/")
        await self.answer()

    def say(self, method, path, *fields):
        version = "1.0" if self.load == OLD else "1.1"
        fields = ["Host: localhost", *["Connection: close"] * (self.load == ASKS), *fields]
        self.writer.write("\r\n".join([f"{method} {path} HTTP/{version}", *fields, "", ""]).encode())

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin1").lower()
        self.expect(head.split()[1][0], "2")
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
        if "chunked" in fields.get("transfer-encoding", ""):
            await self.reader.readuntil(b"0\r\n\r\n")
        elif "content-length" in fields:
            await self.reader.readexactly(int(fields["content-length"]))
        if self.load == OLD or fields.get("connection") == "close":
            await self.reader.read()  # until the server has closed
            self.drop()


class Upload(Http):
    """Of servers that only have files: what is slow is a body that comes late."""

    async def ask(self, slow=False):
        if not slow:
            return await super().ask()
        self.say("PUT", "/uploaded", "Content-Length: 1")
        await asyncio.sleep(8)
        self.writer.write(b"x")
        await self.answer()


class Events(Http):
    """A stream of events, which the server sends until it falls silent."""

    QUERIES = {"kept": "after=500ms&for=12s", "slow": "after=8s&for=16s", ASKS: "after=0s"}

    async def open(self, host, port):
        await super().open(host, port)
        self.say("GET", "/events?" + self.QUERIES.get(self.load, "after=10ms&for=10ms"))
        await self.reader.readuntil(b"\r\n\r\n")

    async def ask(self, slow=False):
        await self.reader.readuntil(b"data: ok\n\n")


class WebSocket(Connection):
    async def open(self, host, port):
        import websockets

        self.socket = await websockets.connect(f"ws://{host}:{port}/", ping_interval=None, compression=None)
        self.is_open = True

    async def ask(self, slow=False):
        await self.socket.send("slow" if slow else "ok")
        await self.socket.recv()

    async def close(self):
        if self.load == ASKS:
            await self.socket.close()
        self.drop()

    async def gone(self):
        await self.socket.wait_closed()

    def drop(self):
        self.is_open = False
        self.socket.transport.close()


class Grpc(Connection):
    async def open(self, host, port):
        import grpc
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        self.channel = grpc.aio.insecure_channel(f"{host}:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self.check = health_pb2_grpc.HealthStub(self.channel).Check
        self.request = health_pb2.HealthCheckRequest
        self.is_open = True

    async def ask(self, slow=False):
        await self.check(self.request(service="slow" if slow else ""))

    async def close(self):
        await self.channel.close()

    async def gone(self):
        await asyncio.Event().wait()


class Postgres(Connection):
    GOODBYE = b"X\0\0\0\4"

    async def open(self, host, port):
        await super().open(host, port)
        start = struct.pack("!I", 3 << 16) + b"user\0postgres\0database\0postgres\0\0"
        self.writer.write(struct.pack("!I", len(start) + 4) + start)
        await self.until_ready()

    async def ask(self, slow=False):
        query = b"select pg_sleep(8)\0" if slow else b"select 1\0"
        self.writer.write(b"Q" + struct.pack("!I", len(query) + 4) + query)
        await self.until_ready()

    async def until_ready(self):
        kind = None
        while kind != b"Z":
            kind, length = struct.unpack("!cI", await self.reader.readexactly(5))
            body = await self.reader.readexactly(length - 4)
            if kind == b"E":
                raise OSError(body)


class Redis(Connection):
    GOODBYE = b"QUIT\r\n"

    async def ask(self, slow=False):
        self.writer.write(b"BLPOP nothing 8\r\n" if slow else b"PING\r\n")
        self.expect(await self.reader.readuntil(b"\r\n"), b"*-1\r\n" if slow else b"+PONG\r\n")


class Mqtt(Connection):
    GOODBYE = b"\xe0\0"

    async def open(self, host, port):
        await super().open(host, port)
        self.writer.write(b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0")
        self.expect(await self.reader.readexactly(4), b"\x20\2\0\0")

    async def ask(self, slow=False):
        self.writer.write(b"\x32\6\0\1t\0\1x")  # published, to be acknowledged
        self.expect(await self.reader.readexactly(4), b"\x40\2\0\1")


PROTOCOLS = {kind.__name__.lower(): kind for kind in (Http, Upload, Events, WebSocket, Grpc, Postgres, Redis, Mqtt)}


class Load:
    def __init__(self, protocol, host, port, load):
        self.make = lambda load=load: PROTOCOLS[protocol](load)
        self.place = host, int(port)
        self.load = load
        self.failed = 0
        self.kept = []  # connections that outlive the load, and what waits for their end

    async def run(self):
        await self.until_up()
        run = {"kept": self.keep, "slow": self.slow, "behind": self.slow, "silent": self.silent}.get(self.load, self.each)
        await run()
        ended = time.monotonic()
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps({"ended": ended, "failed": self.failed}), flush=True)

    async def until_up(self):
        deadline = time.monotonic() + START
        while True:
            try:
                first = self.make(CLOSES)
                async with asyncio.timeout(5):
                    await first.open(*self.place)
                    await first.ask()
                    return await first.close()
            except Exception:  # whatever a server says that is not up yet
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def request(self, connection, slow=False):
        """A request, which may fail."""
        try:
            async with asyncio.timeout(ANSWER):
                if not connection.is_open:
                    await connection.open(*self.place)
                await connection.ask(slow)
        except Exception as error:  # each protocol has its own
            print(f"{time.monotonic():.3f} {error!r}", file=sys.stderr)
            self.failed += 1
            connection.is_open = False

    async def rest(self, connection, until):
        """Leave a connection alone until then, unless the server closes it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until - time.monotonic()):
                if connection.is_open:
                    await connection.gone()
                await asyncio.Event().wait()

    async def keep(self):
        connections = [self.make() for _ in range(CONNECTIONS)]

        async def use(number, connection):
            begin = time.monotonic() + number * INTERVAL
            for tick in range(round(LASTS / INTERVAL / CONNECTIONS)):
                await self.rest(connection, begin + tick * INTERVAL * CONNECTIONS)
                await self.request(connection)
            if connection.is_open:
                self.kept.append(asyncio.ensure_future(connection.gone()))

        print("ready", flush=True)
        await asyncio.gather(*(use(*numbered) for numbered in enumerate(connections)))

    async def each(self):
        async def once():
            connection = self.make()
            await self.request(connection)
            if connection.is_open:
                with contextlib.suppress(OSError):
                    await connection.close()

        print("ready", flush=True)
        begin, running = time.monotonic(), []
        for tick in range(round(LASTS / INTERVAL)):
            await asyncio.sleep(begin + tick * INTERVAL - time.monotonic())
            running.append(asyncio.ensure_future(once()))
        await asyncio.gather(*running)

    async def slow(self):
        """A request that is silent for 8 s, on a connection that has had an answer 1 s before, or many and the last just now."""
        connection = self.make()
        if self.load == "behind":
            for _ in range(20):
                await self.request(connection)
        else:
            await self.request(connection)
            await self.rest(connection, time.monotonic() + 1)
        running = asyncio.ensure_future(self.request(connection, slow=True))
        await asyncio.sleep(INTERVAL)
        print("ready", flush=True)
        await running
        self.kept.append(connection)

    async def silent(self):
        """Half of them have had an answer, half have never said a word."""
        for _ in range(CONNECTIONS):
            self.kept.append(self.make())
            await self.request(self.kept[-1])
        for _ in range(CONNECTIONS):
            self.kept.append(await asyncio.open_connection(*self.place))
        await asyncio.sleep(3)
        print("ready", flush=True)


asyncio.run(Load(*sys.argv[1:]).run())
