"""The sink of the benches: one process, one event loop, HTTP/1.1 by Content-Length over TLS, and nothing else.

It reads heads, skips bodies, answers 200 and counts. Nothing is verified and nothing is kept but the time at which each
delivery (by its `ce-id`) was whole, so that a bench measures the road and not its end. A second, plain port of the loopback
interface says what arrived, when, and what the sink itself cost.
"""

import asyncio
import json
import resource
import signal
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

HEAD_BYTES_MAXIMUM = 16 * 1024
READ_BYTES_MAXIMUM = 256 * 1024
ARRIVALS_MAXIMUM = 2_000_000

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_ID = b"\r\nce-id:"


@dataclass(slots=True)
class Tally:
    """What has arrived since the start or the last reset. Times are wall-clock nanoseconds, so that they compare across processes."""

    deliveries: int = 0
    body_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    by_path: Counter[str] = field(default_factory=Counter)
    arrivals: list[tuple[bytes, int]] = field(default_factory=list)

    def count(self, path: bytes, identifier: bytes, body_bytes: int) -> None:
        """One more whole delivery."""
        now = time.time_ns()
        self.deliveries += 1
        self.body_bytes += body_bytes
        self.first_ns = self.first_ns or now
        self.last_ns = now
        self.by_path[path.decode("ascii", "replace")] += 1
        if identifier and len(self.arrivals) < ARRIVALS_MAXIMUM:
            self.arrivals.append((identifier, now))

    def summary(self) -> dict[str, object]:
        """Ready for JSON. `cpu_seconds` is what this process has used since it started."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "deliveries": self.deliveries,
            "distinct": len({identifier for identifier, _ in self.arrivals}),
            "body_bytes": self.body_bytes,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "by_path": dict(self.by_path),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "memory_kilobytes_maximum": usage.ru_maxrss,
        }


class SinkProtocol(asyncio.BufferedProtocol):
    """One connection. Bytes land in one buffer that is used again for ever; a body is only counted down."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._buffer = bytearray(READ_BYTES_MAXIMUM)
        self._view = memoryview(self._buffer)
        self._held = 0
        self._body_bytes = 0
        self._body_left = 0
        self._path = b""
        self._identifier = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio's own classes, though they do all that these promise.
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 -- the loop's hint is smaller than what we have.
        return self._view[self._held :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._body_left > nbytes:
            self._body_left -= nbytes
            return
        start, end = 0, self._held + nbytes
        while True:
            if self._body_left:
                skipped = min(self._body_left, end - start)
                self._body_left -= skipped
                start += skipped
                if self._body_left:
                    break
                self._finish()
            head_end = self._buffer.find(b"\r\n\r\n", start, end)
            if head_end < 0:
                break
            self._read_head(start, head_end)
            start = head_end + 4
            if not self._body_bytes:
                self._finish()
        self._keep(start, end)

    def _read_head(self, start: int, end: int) -> None:
        head = bytes(self._buffer[start:end])
        lowered = head.lower()
        self._path = head[head.find(b" ") + 1 : head.find(b" ", head.find(b" ") + 1)]
        self._identifier = _value(head, lowered, _ID)
        self._body_bytes = self._body_left = int(_value(head, lowered, _LENGTH) or 0)

    def _finish(self) -> None:
        self._tally.count(self._path, self._identifier, self._body_bytes)
        if self._transport is not None:
            self._transport.write(_ANSWER)

    def _keep(self, start: int, end: int) -> None:
        """Move the beginning of an unfinished head to the front of the buffer."""
        self._held = end - start
        if self._held > HEAD_BYTES_MAXIMUM and self._transport is not None:
            self._transport.abort()
        elif self._held and start:
            self._buffer[: self._held] = self._buffer[start:end]


def _value(head: bytes, lowered: bytes, name: bytes) -> bytes:
    found = lowered.find(name)
    if found < 0:
        return b""
    found += len(name)
    end = head.find(b"\r\n", found)
    return head[found : end if end >= 0 else len(head)].strip()


async def _answer_control(tally: Tally, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """`GET /counts`, `GET /total`, `GET /arrivals` (one `id nanoseconds` a line), `POST /reset`; HTTP/1.0, one request a connection."""
    request = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
    path = request[1] if len(request) > 1 else b""
    if path == b"/total":
        # Asked many times a second by a load generator, so it costs next to nothing however many have arrived.
        content = b"%d" % tally.deliveries
    elif path == b"/arrivals":
        content = b"".join(b"%b %d\n" % arrival for arrival in tally.arrivals)
    else:
        if path == b"/reset":
            fresh = Tally()
            for name in Tally.__slots__:
                setattr(tally, name, getattr(fresh, name))
        content = json.dumps(tally.summary()).encode()
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    await writer.drain()
    writer.close()


async def run_sink(host: str, port: int, control_port: int, tls: ssl.SSLContext | None) -> None:
    """Serve until SIGTERM or SIGINT. Prints one JSON line with the ports once it listens (0 chooses free ones)."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: SinkProtocol(tally), host, port, ssl=tls, backlog=256)
    control = await asyncio.start_server(lambda reader, writer: _answer_control(tally, reader, writer), "127.0.0.1", control_port)
    ports = {"port": server.sockets[0].getsockname()[1], "control_port": control.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)  # noqa: T201 -- the line is how whoever started the process learns the ports.
    await stop.wait()
    server.close()
    control.close()
