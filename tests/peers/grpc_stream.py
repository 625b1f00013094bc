"""Keeps one gRPC stream speaking until its stdin ends, then its connection silent: `grpc_stream.py ADDRESS`. Says when it begins, and
after which time, on the clock that all processes share, it ends the stream."""

import select
import sys
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="flapping"))
    for number, _ in enumerate(stream):
        if number == 1:
            print("speaking", flush=True)
        if select.select([sys.stdin], [], [], 0)[0]:
            break
    before = time.monotonic()
    stream.cancel()
    print("silent", before, flush=True)
    time.sleep(600)
