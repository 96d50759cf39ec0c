"""The bench's sink as a process of its own: start it, ask it what arrived, read its bill."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS_MAXIMUM = 20.0
STOP_SECONDS_MAXIMUM = 5.0


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink. `port` speaks HTTPS (or HTTP without a certificate), `control_port` only to this machine."""

    port: int
    control_port: int
    pid: int

    async def counts(self) -> dict[str, Any]:
        """Deliveries, bytes, first and last arrival (ns since 1970), by path, and the sink's own CPU seconds."""
        counts: dict[str, Any] = json.loads(await self._ask("/counts"))
        return counts

    async def reset(self) -> None:
        """Begin counting again."""
        await self._ask("/reset")

    async def total(self) -> int:
        """Deliveries so far; cheap enough to ask many times a second."""
        return int(await self._ask("/total"))

    async def arrivals(self) -> list[tuple[str, int]]:
        """Each delivery's `ce-id` with the moment it was whole, in ns since 1970, in order of arrival."""
        lines = (await self._ask("/arrivals")).decode("ascii").splitlines()
        return [(identifier, int(at)) for identifier, at in (line.split(" ") for line in lines)]

    async def _ask(self, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control_port)
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode("ascii"))
        answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n\r\n")[2]


@asynccontextmanager
async def running_sink(
    certificate_file: Path | None = None,
    private_key_file: Path | None = None,
    port: int = 0,
    *,
    client_authority_file: Path | None = None,
) -> AsyncIterator[Sink]:
    """Start `relais-sandbox sink` and stop it at the end. With an authority, callers must show a certificate that it signed."""
    options = ["--port", str(port)]
    if certificate_file is not None and private_key_file is not None:
        options += ["--certificate-file", str(certificate_file), "--private-key-file", str(private_key_file)]
    if client_authority_file is not None:
        options += ["--client-authority-file", str(client_authority_file)]
    program = str(Path(sys.executable).with_name("relais-sandbox"))
    process = await asyncio.create_subprocess_exec(program, "sink", *options, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS_MAXIMUM):
            ports = json.loads(await process.stdout.readline())
        yield Sink(ports["port"], ports["control_port"], process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS_MAXIMUM)
