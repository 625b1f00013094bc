"""Opens connections and keeps them open, silent: `hold.py SOURCE PORT COUNT`. Says so when all are open."""

import resource
import socket
import sys
import time

IP_BIND_ADDRESS_NO_PORT = 24  # of ip(7); Python has no name for it

source, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
connections = []
for _ in range(count):
    connection = socket.socket()
    connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    connections.append(connection)
print("open", flush=True)
time.sleep(600)
