"""A server that says bytes, at a Unix or a TCP socket, and remembers who came and what they said."""

import contextlib
import socket
import threading
import time

RESET = object()  # a step of an answer: reset the connection
HOLD = object()  # a step of an answer: say no more, but keep the connection open


def http(status=200, body=b"", **fields):
    """An answer over HTTP."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin1") + body


def by_path(answers):
    """Answers a request by its path: with bytes, or with steps, of which a number is a wait of so many seconds. What is not in
    `answers` is 503."""

    def answer(talk):
        path = talk.request().split(b" ")[1].decode("latin1")
        talk.go(answers.get(path, http(503)))

    return answer


class Server:
    """Answers each connection in a thread of its own: by calling `answer(conversation)`, or with these bytes or steps, after a
    request. Without an answer, it leaves connections in its queue. Port 0 is one that is free."""

    def __init__(self, answer=None, *, path=None, host="127.0.0.1", port=0, backlog=128):
        self.answer = answer if callable(answer) else lambda talk: talk.request() and talk.go(answer)
        self.answers = answer is not None
        self.connections = 0
        self.requests = []
        self.path = path
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(backlog)
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = socket.create_server((host, port), family=family, backlog=backlog)
            self.host, self.port = self.listener.getsockname()[:2]

    def __enter__(self):
        if self.answers:
            threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # which wakes accept()
        self.listener.close()

    def forget(self):
        """Returns the requests until now, and forgets them."""
        requests, self.requests = self.requests, []
        return requests

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, contextlib.suppress(OSError):  # the client has seen enough
            connection.settimeout(20)
            self.answer(Conversation(self, connection))


class Conversation:
    """A connection, as the server's answer sees it."""

    def __init__(self, server, connection):
        self.server, self.socket = server, connection

    def request(self, end=b"\r\n\r\n"):
        """Read the head of an HTTP request, or until any other end."""
        request = b""
        while end not in request:
            more = self.socket.recv(65536)
            if not more:
                raise OSError("the client is gone")
            request += more
        self.server.requests.append(request)
        return request

    def say(self, *parts):
        for part in parts:
            self.socket.sendall(part)

    def go(self, steps):
        """Say bytes, or go through steps, and then end the conversation."""
        for step in steps if isinstance(steps, (tuple, list)) else [steps]:
            if step is RESET:
                return self.reset()
            if step is HOLD:
                return self.hold()
            if isinstance(step, bytes):
                self.say(step)
            else:
                time.sleep(step)
        return self.end()

    def flood(self, part):
        """Say it again and again, until the client has gone."""
        part *= 1 + 65536 // len(part)
        while True:
            self.socket.sendall(part)

    def end(self):
        """Close as one does who has said all: what the client still says is read, lest it becomes a reset."""
        self.socket.shutdown(socket.SHUT_WR)
        self.hold()

    def hold(self):
        """Say nothing more, until the client has gone."""
        while self.socket.recv(65536):
            pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        self.socket.close()
