"""The event logs as auditors read them: from a position on, following, or one stream."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import grpc

from relais.api.audit.v1 import audit_pb2 as wire
from relais.api.audit.v1.audit_pb2_grpc import AuditServiceStub
from relais.client.calls import FOLLOW_TIMEOUT_SECONDS, Calls
from relais.client.pages import pages
from relais.client.words import moment

# Which service serves which log.
SERVICE_OF_LOG = {"ingestion": "ingestion", "identity": "identity", "registry": "identity", "routing": "routing", "delivery": "delivery"}
READ_TIMEOUT_SECONDS = 600.0
FOLLOWED_SECONDS_MINIMUM = 5.0
STREAM_EVENTS_MAXIMUM = 10_000


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. `payload` is the fact's JSON, without the fields named in `sealed_fields`; `opened` (personal data) only when revealed."""

    log: str
    position: int
    tenant: str
    tenant_sequence: int
    stream: str
    version: int
    event_id: str
    tag: str
    partition: int
    recorded_at: datetime | None
    actor: str
    traceparent: str
    payload: bytes
    sealed_fields: tuple[str, ...]
    opened: bytes

    def __repr__(self) -> str:
        return f"Event(log={self.log!r}, position={self.position}, tag={self.tag!r})"


@dataclass(frozen=True, kw_only=True)
class ReadUpTo:
    """Everything up to this position was considered."""

    position: int


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """There is no more at this moment."""

    position: int


@dataclass(frozen=True, kw_only=True)
class FellBehind:
    """The reader is slower than the log."""

    position: int
    head_position: int


Frame: TypeAlias = Event | ReadUpTo | CaughtUp | FellBehind


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to read. `reveal` asks for sealed parts: it needs AUDIT_REVEAL and a `reason`, and is itself recorded."""

    from_position: int = 0
    tags: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    follow: bool = False
    reveal: bool = False
    reason: str = ""
    every_tenant: bool = False


class Audit:
    """One log of one service."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls, parent: str, log: str) -> None:
        self._stub = AuditServiceStub(channel)
        self._calls = calls
        self._parent = parent
        self._log = log

    async def read(self, question: Question) -> AsyncIterator[Frame]:
        """Frames in log order. When the call breaks it is made again from the position reached: no event is given twice or left out."""
        request = wire.ReadEventsRequest(
            parent="tenants/-" if question.every_tenant else self._parent,
            log=self._log,
            from_position=question.from_position,
            tags=question.tags,
            streams=question.streams,
            follow=question.follow,
            reveal=question.reveal,
            reason=question.reason,
        )
        timeout_seconds = FOLLOW_TIMEOUT_SECONDS if question.follow else READ_TIMEOUT_SECONDS
        while True:
            before, began = request.from_position, time.monotonic()
            async for message in self._calls.followed(lambda: self._calls.stream(self._stub.ReadEvents, request, timeout_seconds)):
                frame = _frame(message)
                if frame is not None:
                    request.from_position = max(request.from_position, frame.position + 1)
                    yield frame
            # The platform ends a follower's stream now and then, and a log may be quiet for long; but a stream that ends at once and brings
            # nothing would only do so again.
            if not question.follow or (request.from_position == before and time.monotonic() - began < FOLLOWED_SECONDS_MINIMUM):
                return

    async def stream(self, stream: str, *, reveal: bool = False, reason: str = "") -> list[Event]:
        """The events of one stream, in order; empty when it does not exist."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Event], str]:
            request = wire.GetStreamRequest(
                parent=self._parent, log=self._log, stream=stream, reveal=reveal, reason=reason, page_size=size, page_token=token
            )
            page = await self._calls.repeated(self._stub.GetStream, request)
            return page.events, page.next_page_token

        return [_event(message) async for message in pages(fetch, STREAM_EVENTS_MAXIMUM)]


def _frame(message: wire.ReadEventsResponse) -> Frame | None:
    match message.WhichOneof("frame"):
        case "event":
            return _event(message.event)
        case "checkpoint":
            return ReadUpTo(position=message.checkpoint.position)
        case "caught_up":
            return CaughtUp(position=message.caught_up.position)
        case "fell_behind":
            return FellBehind(position=message.fell_behind.position, head_position=message.fell_behind.head_position)
        case _:
            return None  # A kind of frame that newer services send.


def _event(message: wire.Event) -> Event:
    return Event(
        log=message.log,
        position=message.position,
        tenant=message.tenant,
        tenant_sequence=message.tenant_sequence,
        stream=message.stream,
        version=message.version,
        event_id=message.event_id,
        tag=message.tag,
        partition=message.partition,
        recorded_at=moment(message.record_time),
        actor=message.actor,
        traceparent=message.traceparent,
        payload=message.payload,
        sealed_fields=tuple(message.sealed_fields),
        opened=message.opened,
    )
