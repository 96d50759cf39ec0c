"""The connection to a nats-server: nats-py's client, with one door more for what is hot.

For every message it receives nats-py builds a dictionary of headers and an object, puts it into a queue and wakes a task:
some 50 microseconds. A *raw* subscription gets the bytes in one plain call instead, and a batch to publish leaves as one
block of frames. Everything else (reconnection, TLS, keys, keep-alive) stays nats-py's.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from relais.transport.bus import BusUnavailable

START_TIMEOUT_SECONDS: Final = 15.0
CONNECT_TIMEOUT_SECONDS: Final = 5
RECONNECT_WAIT_SECONDS: Final = 0.25
PING_INTERVAL_SECONDS: Final = 10
PINGS_OUTSTANDING_MAXIMUM: Final = 3
PENDING_BYTES_MAXIMUM: Final = 16 * 1024 * 1024
DRAIN_TIMEOUT_SECONDS: Final = 5

RawHandler = Callable[[bytes, bytes, bytes, bytes], None]

_log = structlog.get_logger("relais.transport")


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """Where the servers are and who we are: `nkey_seed_file` holds this service's own key, `tls` its certificate."""

    servers: tuple[str, ...]
    name: str
    nkey_seed_file: str | None = None
    tls: ssl.SSLContext | None = None
    start_timeout_seconds: float = START_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class RawSubscription:
    """A subscription whose messages go to a plain function."""

    sid: int
    subscription: Subscription


class RawClient(Client):
    """nats-py's client with raw subscriptions and a counter of lost connections."""

    def __init__(self) -> None:
        super().__init__()
        self._raw: dict[int, RawHandler] = {}
        self._on_loss: list[Callable[[], None]] = []
        self._error_reported = ""
        self._reachable = asyncio.Event()
        self._leaving = False
        self.losses = 0

    @classmethod
    async def connect_to(cls, address: NatsAddress) -> "RawClient":
        """Connect; from then on it reconnects for ever by itself. Raises `BusUnavailable` when no server answers the first time."""
        client = cls()
        connecting = client.connect(
            servers=list(address.servers),
            name=address.name,
            nkeys_seed=address.nkey_seed_file,
            tls=address.tls,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type]  # annotated int, slept as it is
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            ping_interval=PING_INTERVAL_SECONDS,
            max_outstanding_pings=PINGS_OUTSTANDING_MAXIMUM,
            pending_size=PENDING_BYTES_MAXIMUM,
            drain_timeout=DRAIN_TIMEOUT_SECONDS,
            error_cb=client._report_error,
            disconnected_cb=client._report_lost,
            reconnected_cb=client._report_restored,
        )
        try:
            # nats-py would try for ever the first time too; whoever starts us must be told.
            await asyncio.wait_for(connecting, address.start_timeout_seconds)
        except (OSError, TimeoutError, NatsError) as error:
            raise BusUnavailable(f"no nats-server answers at {', '.join(address.servers)}: {type(error).__name__}") from error
        client._reachable.set()
        return client

    async def wait_reachable(self, timeout_seconds: float) -> None:
        """Return when there is a connection. Raises `BusUnavailable` after the timeout."""
        try:
            await asyncio.wait_for(self._reachable.wait(), timeout_seconds)
        except TimeoutError as error:
            raise BusUnavailable("not connected") from error

    async def leave(self) -> None:
        """Close the connection for good."""
        self._leaving = True
        await self.close()

    def on_loss(self, react: Callable[[], None]) -> None:
        """Call this whenever the connection breaks: answers that were on their way will not come any more."""
        self._on_loss.append(react)

    async def subscribe_raw(self, subject: str, handler: RawHandler) -> RawSubscription:
        """Hand every message of `subject` to `handler(subject, reply, headers, data)`, at once, in order, from the reading task."""
        # `subscribe` takes the next number before it first waits, so the handler is in place before a message can come.
        sid = self._sid + 1
        self._raw[sid] = handler
        return RawSubscription(sid, await self.subscribe(subject))

    async def unsubscribe_raw(self, raw: RawSubscription) -> None:
        """Stop; what still arrives is thrown away."""
        self._raw[raw.sid] = _ignore
        try:
            if not self.is_closed:
                await raw.subscription.unsubscribe()
        finally:
            del self._raw[raw.sid]

    async def send(self, frames: bytes) -> None:
        """Write finished protocol frames. Raises `BusUnavailable` when there is no connection, and then nothing was written."""
        if not self.is_connected:
            raise BusUnavailable("not connected")
        await self._send_command(frames)
        await self._flush_pending()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        handler = self._raw.get(sid)
        if handler is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            handler(subject, reply, headers or b"", data)

    async def _report_lost(self) -> None:
        self.losses += 1
        self._reachable.clear()
        if not self._leaving:
            _log.warning("bus_connection_lost")
        for react in self._on_loss:
            react()

    async def _report_restored(self) -> None:
        self._error_reported = ""
        self._reachable.set()
        _log.info("bus_connection_restored")

    async def _report_error(self, error: Exception) -> None:
        # The same refusal four times a second tells nobody anything new.
        name = type(error).__name__
        if name != self._error_reported:
            self._error_reported = name
            _log.warning("bus_connection_error", error=name)


def _ignore(subject: bytes, reply: bytes, headers: bytes, data: bytes) -> None:
    """Takes what arrives after a subscription was given up."""
