"""A small proxy between a client and a server, to cut and to hold the connection at moments that chance would rarely find.

It passes bytes on and understands none of them. For Postgres, listen on a path named `.s.PGSQL.<port>` and let the client's `host` be its
folder; for anything else, on a free TCP port.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

READ_BYTES: Final = 64 * 1024

Address = Path | tuple[str, int]


class Proxy:
    """See `open_proxy`. Its orders are for all connections, present and future."""

    def __init__(self, upstream: Address) -> None:
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut_at_reply = False
        self._cut_at_reply_to_bytes: int | None = None
        self._condemned: asyncio.StreamWriter | None = None
        self._request_bytes_to_pass: int | None = None
        self._released = asyncio.Event()
        self.cut_replies = 0
        self.holding = asyncio.Event()
        self.port = 0

    def cut_at_next_reply(self) -> None:
        """Throw the server's next answer away and close the connection it came on: the server has done its work, the client cannot know."""
        self._cut_at_reply = True

    def cut_at_reply_to(self, request_bytes_minimum: int) -> None:
        """As `cut_at_next_reply`, for the answer to the next request of at least so many bytes: writes are larger than looks."""
        self._cut_at_reply_to_bytes = request_bytes_minimum

    def hold_requests_after(self, count: int) -> None:
        """Pass `count` more bytes to the server, then nothing until `release`; `holding` is set once something waits."""
        self._request_bytes_to_pass = count
        self._released.clear()
        self.holding.clear()

    def release(self) -> None:
        """Pass on what was held, and everything from now on."""
        self._request_bytes_to_pass = None
        self._cut_at_reply = False
        self._cut_at_reply_to_bytes = None
        self._condemned = None
        self._released.set()

    def cut(self) -> None:
        """Close every connection, both sides, at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await _connect(self._upstream)
        except OSError:
            client_writer.transport.abort()
            return
        pair = {client_writer, server_writer}
        self._writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_requests(client_reader, server_writer, client_writer))
                group.create_task(self._pass_replies(server_reader, client_writer, server_writer))
        finally:
            self._writers -= pair
            for writer in pair:
                writer.transport.abort()

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                if self._cut_at_reply_to_bytes is not None and len(data) >= self._cut_at_reply_to_bytes:
                    self._cut_at_reply_to_bytes, self._condemned = None, client
                if self._request_bytes_to_pass is not None:
                    passed = data[: self._request_bytes_to_pass]
                    data = data[len(passed) :]
                    self._request_bytes_to_pass -= len(passed)
                    writer.write(passed)
                    if data:
                        self.holding.set()
                        await self._released.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _pass_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                if self._cut_at_reply or self._condemned is writer:
                    self._cut_at_reply, self._condemned = False, None
                    self.cut_replies += 1
                    break
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
        server.transport.abort()


@asynccontextmanager
async def open_proxy(upstream: Address, listen: Path | None = None) -> AsyncIterator[Proxy]:
    """Listen on a Unix socket, or on a free port of the loopback interface (`proxy.port`), and pass everything on to `upstream`."""
    proxy = Proxy(upstream)
    if listen is None:
        server = await asyncio.start_server(proxy._connected, "127.0.0.1", 0)  # noqa: SLF001 -- its own module
        proxy.port = server.sockets[0].getsockname()[1]
    else:
        server = await asyncio.start_unix_server(proxy._connected, listen)  # noqa: SLF001
    try:
        yield proxy
    finally:
        server.close()
        proxy.release()
        proxy.cut()
        await server.wait_closed()


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection(*address)
