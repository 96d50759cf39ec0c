"""The floor under every delivered/s: how fast our own HTTP client can fill the raw sink over TLS, with nothing else in the way.

A bench whose raw sink is under three times its delivered/s is *sink-bound*: it measures its own end and not the road.
"""

import asyncio
import os
import ssl
import time
from pathlib import Path

import msgspec

from relais.delivery.adapters.https.client import Address, Client
from tests.bench.sink_process import Sink

BODY_BYTES = 51_000
SINK_BOUND_FACTOR = 3.0
_CALL_SECONDS = 30.0


class SinkFloor(msgspec.Struct, frozen=True):
    """What the raw sink takes. CPU is in milliseconds per request, each end by itself."""

    requests_per_second: float
    client_cpu_ms: float
    sink_cpu_ms: float

    def binds(self, delivered_per_second: float) -> bool:
        """Whether a bench with this rate is bound by its sink."""
        return self.requests_per_second < SINK_BOUND_FACTOR * delivered_per_second


async def sink_floor(sink: Sink, ca_file: Path | None, *, requests: int, connections: int = 8, body_bytes: int = BODY_BYTES) -> SinkFloor:
    """POST so many bodies over so many connections, as fast as it goes, and read both bills. The sink is reset before and after."""
    tls = ssl.create_default_context(cafile=ca_file) if ca_file is not None else None
    return await sink_floor_with(sink, tls, requests=requests, connections=connections, body_bytes=body_bytes)


async def sink_floor_with(
    sink: Sink, tls: ssl.SSLContext | None, *, requests: int, connections: int = 8, body_bytes: int = BODY_BYTES
) -> SinkFloor:
    """The same with a client's own side of TLS."""
    await sink.reset()
    client = Client(Address("localhost" if tls else "127.0.0.1", sink.port, tls, 5.0))
    body = os.urandom(body_bytes)
    head = (
        "POST /floor HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/xml\r\nce-id: 00000000-0000-4000-8000-000000000000-1\r\n"
        f"signature: relais=:{'x' * 44}:\r\ncontent-length: {body_bytes}\r\n\r\n"
    ).encode("ascii")
    left = requests

    async def pour() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            response = await client.post(head, body, _CALL_SECONDS)
            assert response.status == 200

    # Connections are made before the clock starts.
    await asyncio.gather(*(client.post(head, body, _CALL_SECONDS) for _ in range(connections)))
    sink_before, client_before, began = (await sink.counts())["cpu_seconds"], time.process_time(), time.perf_counter()
    await asyncio.gather(*(pour() for _ in range(connections)))
    seconds = time.perf_counter() - began
    client_cpu, sink_cpu = time.process_time() - client_before, (await sink.counts())["cpu_seconds"] - sink_before
    await client.close()
    await sink.reset()
    return SinkFloor(requests / seconds, client_cpu / requests * 1000, sink_cpu / requests * 1000)
