"""One pull over a JetStream stream: a standing request, so that the next batch is on its way while this one is handled.

The consumer on the server is ephemeral, acknowledges nothing and remembers nothing of value: progress lives in Postgres.
Whatever happens to it (connection lost, server restarted, consumer deleted, a message missing from its own count) it is
made anew from the sequence after the last one received, and if the stream is no longer the same, that is said.
"""

import asyncio
import json
import secrets
from collections.abc import Sequence
from typing import Final

import nats.errors
import structlog

from relais.contracts.subjects import PARTITIONS, partition_filter, stream_of
from relais.transport.bus import BusUnavailable, Delivered, StreamMissing
from relais.transport.nats_api import STREAM_NOT_FOUND, ApiRefusal, JetStreamApi
from relais.transport.nats_client import RawClient, RawSubscription
from relais.transport.wire import ForeignMessage, decode, place_of

PULL_MESSAGES: Final = 256
PULL_EXPIRES_SECONDS: Final = 30
PULL_HEARTBEAT_SECONDS: Final = 5
PULL_SILENCE_SECONDS_MAXIMUM: Final = 3 * PULL_HEARTBEAT_SECONDS
CONSUMER_INACTIVE_SECONDS: Final = 120
RESTART_INTERVAL_SECONDS: Final = 0.2

_NANOSECONDS = 1_000_000_000
_REQUEST = json.dumps(
    {"batch": PULL_MESSAGES, "expires": PULL_EXPIRES_SECONDS * _NANOSECONDS, "idle_heartbeat": PULL_HEARTBEAT_SECONDS * _NANOSECONDS}
)
_STATUS = b"NATS/1.0 "
_HEARTBEAT = b"100"
_REQUEST_OVER = (b"404", b"408")
_CONFLICT = b"409"
_CONSUMER_GONE = b"Consumer Deleted"
_PENDING_HEADER = b"Nats-Pending-Messages: "

_log = structlog.get_logger("relais.transport")


class NatsSubscription:
    """See `relais.transport.bus.Subscription`. At most two requests of messages are in memory: one being handled, one arriving."""

    def __init__(self, client: RawClient, log: str, partitions: Sequence[int], start_sequence: int) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._api = JetStreamApi(client)
        self._stream = stream_of(log)
        self._filters = [f"relais.{log}.>"] if len(partitions) == PARTITIONS else [partition_filter(log, p) for p in sorted(partitions)]
        self._next_sequence = start_sequence
        self._incarnation = ""
        self._consumer = ""
        self._inbox: RawSubscription | None = None
        self._request = b""
        self._losses = -1
        self._broken = True
        self._consumer_sequence = 0
        self._asked = 0
        self._arrived: list[Delivered] = []
        self._heard_at = 0.0
        self._restarted_at = 0.0
        self._news = asyncio.Event()
        self.backlog = 0

    async def fetch(self, maximum: int, wait_seconds: float) -> list[Delivered]:
        deadline = self._loop.time() + wait_seconds
        while True:
            self._news.clear()
            if not self._arrived:
                await self._keep_alive(self._loop.time())
            await self._keep_asking()
            if self._arrived:
                batch, self._arrived = self._arrived[:maximum], self._arrived[maximum:]
                await self._keep_asking()
                return batch
            remaining = deadline - self._loop.time()
            if remaining <= 0:
                return []
            await self._wait(remaining)

    async def close(self) -> None:
        await self._forget()

    async def start(self) -> None:
        """Make the consumer and send the first request. Raises `StreamMissing`, `BusUnavailable`."""
        await self._restart()
        await self._keep_asking()

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return

    async def _keep_alive(self, now: float) -> None:
        silent = self._asked > 0 and now - self._heard_at > PULL_SILENCE_SECONDS_MAXIMUM
        if self._broken or silent or self._client.losses != self._losses:
            # A server that refuses every request must not be asked as fast as it refuses.
            await asyncio.sleep(max(0.0, self._restarted_at + RESTART_INTERVAL_SECONDS - now))
            await self._restart()

    async def _keep_asking(self) -> None:
        if not self._broken and self._asked + len(self._arrived) <= PULL_MESSAGES:
            self._asked += PULL_MESSAGES
            await self._client.send(self._request)

    async def _restart(self) -> None:
        """A new consumer from the next sequence, unless the stream is another one now."""
        await self._forget()
        self._restarted_at = self._loop.time()
        losses = self._client.losses
        extent = await self._api.extent(self._stream)
        if self._incarnation not in ("", extent.incarnation) or self._next_sequence > extent.last_sequence + 1:
            raise StreamMissing(self._stream)
        # A trimmed stream begins later than asked; what is missing is found by `previous`, not here.
        start = max(self._next_sequence, extent.first_sequence)
        consumer = f"relais-{secrets.token_hex(8)}"
        inbox = self._client.new_inbox()
        self._inbox = await self._client.subscribe_raw(inbox, self._on_message)
        try:
            await self._api.ask(f"CONSUMER.CREATE.{self._stream}.{consumer}", self._creation(consumer, start))
        except ApiRefusal as refusal:
            if refusal.code == STREAM_NOT_FOUND:
                raise StreamMissing(self._stream) from refusal
            raise BusUnavailable(str(refusal)) from refusal
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}"
        self._request = f"PUB {subject} {inbox} {len(_REQUEST)}\r\n{_REQUEST}\r\n".encode()
        self._incarnation, self._consumer, self._losses = extent.incarnation, consumer, losses
        self._consumer_sequence = self._asked = 0
        self._heard_at = self._loop.time()
        self._broken = False

    def _creation(self, consumer: str, start: int) -> dict[str, object]:
        return {
            "stream_name": self._stream,
            "action": "create",
            "config": {
                "name": consumer,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": start,
                "ack_policy": "none",
                "filter_subjects": self._filters,
                "mem_storage": True,
                "num_replicas": 1,
                "inactive_threshold": CONSUMER_INACTIVE_SECONDS * _NANOSECONDS,
            },
        }

    async def _forget(self) -> None:
        """Give up consumer and inbox; the server forgets an unused consumer by itself if it cannot be told now."""
        self._broken = True
        inbox, self._inbox = self._inbox, None
        consumer, self._consumer = self._consumer, ""
        if inbox is not None:
            try:
                await self._client.unsubscribe_raw(inbox)
            except (nats.errors.Error, OSError):
                _log.debug("bus_unsubscribe_failed", stream=self._stream)
        if consumer and self._client.is_connected:
            try:
                await self._api.ask(f"CONSUMER.DELETE.{self._stream}.{consumer}")
            except (ApiRefusal, BusUnavailable):
                _log.debug("bus_consumer_left_behind", stream=self._stream)

    def _on_message(self, subject: bytes, reply: bytes, headers: bytes, data: bytes) -> None:
        """Called from the reading task for everything that comes to the inbox: announcements, and what the server says of the request."""
        self._heard_at = self._loop.time()
        if self._broken:
            return
        if headers.startswith(_STATUS):
            self._on_status(headers)
            return
        try:
            place = place_of(reply)
            self._consumer_sequence += 1
            if place.consumer_sequence != self._consumer_sequence:
                # One was lost on its way here: start again after the last one that arrived in order.
                self._break()
                return
            self._asked -= 1
            self._next_sequence = place.sequence + 1
            self.backlog = place.pending
            self._arrived.append(decode(place.sequence, subject, headers, data))
        except ForeignMessage:
            _log.error("bus_foreign_message", stream=self._stream)
        self._news.set()

    def _on_status(self, headers: bytes) -> None:
        status = headers[len(_STATUS) : len(_STATUS) + 3]
        if status == _HEARTBEAT:
            return
        if status in _REQUEST_OVER or (status == _CONFLICT and _CONSUMER_GONE not in headers):
            # One request is over; what it did not bring is not on its way any more.
            self._asked = max(0, self._asked - _pending_messages(headers)) if _PENDING_HEADER in headers else 0
            self._news.set()
            return
        self._break()

    def _break(self) -> None:
        self._broken = True
        self._news.set()


def _pending_messages(headers: bytes) -> int:
    return int(headers.partition(_PENDING_HEADER)[2].partition(b"\r\n")[0])
