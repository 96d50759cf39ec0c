"""Look at the server before trusting it: its version, JetStream, and whether it writes to disk before it says yes."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog

from relais.transport.bus import BusUnavailable, ServerRefused
from relais.transport.nats_api import ApiRefusal, JetStreamApi
from relais.transport.nats_client import RawClient

VERSION_MINIMUM: Final = (2, 14, 7)
DEBIAN_VERSION: Final = (2, 9)
MONITOR_TIMEOUT_SECONDS: Final = 5.0
MONITOR_BYTES_MAXIMUM: Final = 1024 * 1024

_log = structlog.get_logger("relais.transport")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What was found. `sync_always` is None when nobody could be asked: it is told only on the server's monitoring port."""

    version: tuple[int, int, int]
    sync_always: bool | None


async def check_server(client: RawClient, monitor_url: str | None = None) -> ServerFacts:
    """Refuse a server that cannot carry the logs, and say loudly when it may lose what it acknowledged.

    `monitor_url` is the server's monitoring address (`http://host:8222`). Raises `ServerRefused`, `BusUnavailable`.
    """
    said = client.connected_server_version
    version = (said.major, said.minor, said.patch)
    require_version(version)
    try:
        await JetStreamApi(client).ask("INFO")
    except (ApiRefusal, BusUnavailable) as error:
        raise ServerRefused("JetStream does not answer: start nats-server with a jetstream block, and let this account use it") from error
    sync_always = await _sync_always(monitor_url) if monitor_url else None
    if sync_always is None:
        _log.warning("bus_sync_interval_unknown", version=_dotted(version), needed="sync_interval: always")
    elif not sync_always:
        _log.error("bus_sync_interval_not_always", version=_dotted(version), needed="sync_interval: always")
    return ServerFacts(version, sync_always)


def require_version(version: tuple[int, int, int]) -> None:
    """Raises `ServerRefused` for a server below VERSION_MINIMUM."""
    if version >= VERSION_MINIMUM:
        return
    said, needed = _dotted(version), _dotted(VERSION_MINIMUM)
    if version[:2] == DEBIAN_VERSION:
        raise ServerRefused(f"nats-server {said} is Debian 12's: no atomic batches, no sync_interval; install {needed} or newer")
    raise ServerRefused(f"nats-server {said} is too old: {needed} or newer is needed")


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


async def _sync_always(monitor_url: str) -> bool | None:
    try:
        answer = json.loads(await asyncio.wait_for(_get(monitor_url, "/varz"), MONITOR_TIMEOUT_SECONDS))
        return bool(answer["jetstream"]["config"].get("sync_always", False))
    except (OSError, TimeoutError, ValueError, KeyError, asyncio.IncompleteReadError) as error:
        _log.warning("bus_monitor_unreachable", error=type(error).__name__)
        return None


async def _get(url: str, path: str) -> bytes:
    """The body of one plain HTTP answer; HTTP/1.0, so that it is neither chunked nor kept open."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=MONITOR_BYTES_MAXIMUM)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.hostname}\r\n\r\n".encode())
        await writer.drain()
        answer = await reader.read(MONITOR_BYTES_MAXIMUM)
        while not reader.at_eof() and len(answer) < MONITOR_BYTES_MAXIMUM:
            answer += await reader.read(MONITOR_BYTES_MAXIMUM)
        return answer.partition(b"\r\n\r\n")[2]
    finally:
        writer.close()
        await writer.wait_closed()
