"""Is it ready? A gRPC health check for the services, a TLS handshake for the sandbox."""

import socket
import ssl
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

CHECK_TIMEOUT_SECONDS = 1.0


def serves(address: str) -> bool:
    """True when the process at `address` (host:port, plain text) answers SERVING to `grpc.health.v1.Health/Check`."""
    options: Any = [("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 100)]
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""), timeout=CHECK_TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def accepts_tls(host: str, port: int, authority: Path) -> bool:
    """True when something there completes a TLS handshake with a certificate of our authority."""
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with (
            socket.create_connection((host, port), CHECK_TIMEOUT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except OSError:
        return False
