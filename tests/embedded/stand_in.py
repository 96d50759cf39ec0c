"""A stand-in for a service while the launcher is under attack: `migrate` and `serve` as the real ones, gRPC health included.

It is a program of its own, started by its name `relais-<service>`. What it must do wrong it reads from RELAIS_FAILPOINTS.
"""

import os
import signal
import socket
import ssl
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

stopped = threading.Event()


def main() -> None:
    service, verb = Path(sys.argv[0]).name.removeprefix("relais-"), sys.argv[1]
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    orders = os.environ.get("RELAIS_FAILPOINTS", "")
    if verb == "migrate":
        assert os.environ["RELAIS_POSTGRES_OWNER_DSN"]
        sys.exit(f"{service} cannot migrate" if f"{service}.migrate" in orders else 0)
    if f"{service}.start" in orders:
        sys.exit(f"{service} cannot start")
    print(f"{service} serves as {os.environ.get('RELAIS_SERVICE_REPLICA')}", flush=True)
    serve_tls() if service == "sandbox" else serve_health()


def serve_health() -> None:
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    assert "RELAIS_POSTGRES_OWNER_DSN" not in os.environ, "a service must never hold the owner's address"
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(os.environ["RELAIS_HEALTH_LISTEN"])
    server.start()
    stopped.wait()
    server.stop(0)


def serve_tls() -> None:
    assert sys.argv[2] == "--config"
    told = tomllib.loads(Path(sys.argv[3]).read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(told["certificate_file"], told["private_key_file"])
    with socket.create_server((told["host"], told["port"])) as listening:
        listening.settimeout(0.2)
        while not stopped.is_set():
            try:
                connection, _ = listening.accept()
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                continue


if __name__ == "__main__":
    main()
