"""Keeps one gRPC stream speaking for a while, then its connection silent: `grpc_stream.py ADDRESS SECONDS`."""

import sys
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

address, seconds = sys.argv[1], float(sys.argv[2])
with grpc.insecure_channel(address) as channel:
    end = time.monotonic() + seconds
    stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="flapping"))
    for number, _ in enumerate(stream):
        if number == 1:
            print("speaking", flush=True)
        if time.monotonic() > end:
            break
    stream.cancel()
    print("silent", flush=True)
    time.sleep(600)
