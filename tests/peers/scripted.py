"""An HTTP server that says just the bytes it was given, and remembers what it was asked."""

import socket
import struct
import threading
import time

RESET = object()  # a step of a reply: reset the connection
HOLD = object()  # a step of a reply: say no more, but keep the connection open


class Scripted:
    """Listens on two ports. What `replies` does not name is answered with 503, which tells that a redirect was followed."""

    UNAVAILABLE = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"

    def __init__(self, replies, address):
        self.listeners = [socket.create_server((address, 0), family=family(address)) for _ in range(2)]
        self.port, self.other = [listener.getsockname()[1] for listener in self.listeners]
        self.replies = replies
        self.requests = []  # port, request line, header fields
        for listener in self.listeners:
            threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    def fill_in(self, text):
        return text.replace(b"@PORT@", b"%d" % self.port).replace(b"@OTHER@", b"%d" % self.other)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def serve(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection:
            connection.settimeout(5)
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    more = connection.recv(65536)
                    if not more:
                        return
                    request += more
                line, *fields = request.decode("latin1").removesuffix("\r\n\r\n").split("\r\n")
                self.requests.append((connection.getsockname()[1], line, fields))
                steps = self.replies.get(line.split(" ")[1], self.UNAVAILABLE)
                self.say(connection, steps if isinstance(steps, (tuple, list)) else [steps])
            except OSError:
                pass  # the client has seen enough

    def say(self, connection, steps):
        for step in steps:
            if step is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if step is HOLD:
                while connection.recv(65536):
                    pass
            elif isinstance(step, bytes):
                connection.sendall(self.fill_in(step))
            else:
                time.sleep(step)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # lest closing it becomes a reset
            pass


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET
