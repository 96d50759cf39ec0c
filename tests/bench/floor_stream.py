"""The floor under the intake: the same messages over the same streams and the same TLS, to a server that only answers.

The server is a process of its own; it looks at nothing but the numbers of the documents in a message, and answers with as many bytes as
their receipts have.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import grpc
import grpc.aio
import msgspec
import uvloop

from tests.bench.documents import apart, together
from tests.bench.generator import METHOD, Order
from tests.bench.loading import PROJECT, Generator
from tests.bench.processes import Census
from tests.bench.stage import Stage

MESSAGE_BYTES_MAXIMUM: Final = 8 * 1024 * 1024

# A receipt of 150 bytes: field 2 of the answer, of which field 2 is a SHA-256, field 1 a name.
_TAKES_MORE: Final = b"\x28\x01"
_RECEIPT: Final = b"\x12\x96\x01" + b"\x0a\x72" + b"n" * 114 + b"\x12\x20" + bytes(32)


class StreamFloor(msgspec.Struct, frozen=True, kw_only=True):
    """Messages per second, and CPU in milliseconds per message at either end."""

    messages_per_s: float
    server_cpu_ms: float
    client_cpu_ms: float


async def measure_stream(stage: Stage, generator: Generator, order: Order) -> StreamFloor:
    """Carry out `order` against the floor's server instead of the product."""
    pair = stage.authority.server("floor")
    files = [str(path) for path in (pair.certificate, pair.key, stage.authority.pair.certificate)]
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.floor_stream", *files, stdout=PIPE, cwd=PROJECT)
    try:
        assert server.stdout is not None
        port = json.loads(await server.stdout.readline())["port"]
        census = Census({"server": server.pid, "client": generator.pid})
        before = census.clocks()
        outcome = await generator.load(msgspec.structs.replace(order, address=f"127.0.0.1:{port}", road_documents=0))
        after = census.clocks()
    finally:
        server.terminate()
        await server.wait()
    return StreamFloor(
        messages_per_s=round(outcome.sent / ((outcome.ended_ns - outcome.began_ns) / 1e9), 1),
        server_cpu_ms=round((after.parts["server"] - before.parts["server"]) * 1000 / outcome.sent, 3),
        client_cpu_ms=round((after.parts["client"] - before.parts["client"]) * 1000 / outcome.sent, 3),
    )


async def _answer(requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
    async for message in requests:
        await context.write(together([number + _RECEIPT + _TAKES_MORE for number in apart(message)]))


async def _serve(certificate: bytes, key: bytes, authority: bytes) -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAXIMUM)])
    service, _, method = METHOD.strip("/").partition("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.stream_stream_rpc_method_handler(_answer)})
    server.add_generic_rpc_handlers((handler,))
    credentials = grpc.ssl_server_credentials([(key, certificate)], root_certificates=authority, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    print(json.dumps({"port": port}), flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(_serve(*(Path(file).read_bytes() for file in sys.argv[1:4])))
