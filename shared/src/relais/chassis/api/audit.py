"""The audit service, the same on every service: reads the service's own logs.

A stream holds at most one page in memory. The page is written frame by frame and each write waits for the reader's window, so
a slow reader slows its own read down and nothing else; when it loses touch with the log's end it is told so.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.access.v1.permission_pb2 import PERMISSION_AUDIT_REVEAL
from relais.api.audit.v1 import audit_pb2, audit_pb2_grpc
from relais.chassis.access.principal import Principal, caller
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import EVERY_TENANT_SEGMENT, Context, require_permission, require_reason
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.chassis.api.methods import permission_word
from relais.chassis.api.pages import PAGE_SIZE_MAXIMUM, PageTokens
from relais.chassis.api.server import Offer
from relais.chassis.sealed_fields import SubmissionOpener, has_sealed_fields, leave_out
from relais.clock import Clock
from relais.eventlog.log import READ_MAXIMUM, EventLog, LimitExceeded
from relais.eventlog.record import StoredEvent

LIFE_SECONDS: Final = 15 * 60.0
CHECKPOINT_EVENTS: Final = 1000
CHECKPOINT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.25
FILTERS_MAXIMUM: Final = 64

REVEAL: Final = permission_word(PERMISSION_AUDIT_REVEAL)

_READ_EVENTS = "/relais.api.audit.v1.AuditService/ReadEvents"
_GET_STREAM = "/relais.api.audit.v1.AuditService/GetStream"

Frame = audit_pb2.ReadEventsResponse


@dataclass(frozen=True, slots=True)
class _Reading:
    """One reader's right to read: whose events, of which log, with sealed parts opened or left out."""

    principal: Principal
    method: str
    log: EventLog
    tenant: str | None
    revealed: bool
    reason: str


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """Serves `logs`, of which `own` is meant where a request names none."""

    def __init__(
        self, own: str, logs: Mapping[str, EventLog], recorder: AccessRecorder, opener: SubmissionOpener, pages: PageTokens, clock: Clock
    ) -> None:
        self._own = own
        self._logs = dict(logs)
        self._recorder = recorder
        self._opener = opener
        self._pages = pages
        self._clock = clock

    def offer(self) -> Offer:
        """What to hand to `ApiServer`."""
        descriptor = audit_pb2.DESCRIPTOR.services_by_name["AuditService"]
        return Offer(descriptor, self, audit_pb2_grpc.add_AuditServiceServicer_to_server)

    async def ReadEvents(self, request: audit_pb2.ReadEventsRequest, context: Context) -> AsyncIterator[Frame]:
        """See the contract."""
        reading = self._reading(_READ_EVENTS, request.parent, request.log, request.reason, reveal=request.reveal)
        if len(request.tags) > FILTERS_MAXIMUM or len(request.streams) > FILTERS_MAXIMUM or request.from_position < 0:
            wrong = "from_position" if request.from_position < 0 else "tags" if len(request.tags) > FILTERS_MAXIMUM else "streams"
            raise FieldsInvalid([FieldViolation(wrong)])
        await self._record(reading, ())
        async for frame in self._follow(reading, request):
            yield frame

    async def GetStream(self, request: audit_pb2.GetStreamRequest, context: Context) -> audit_pb2.GetStreamResponse:
        """See the contract."""
        reading = self._reading(_GET_STREAM, request.parent, request.log, request.reason, reveal=request.reveal)
        if not request.stream or reading.tenant is None:
            raise FieldsInvalid([FieldViolation("parent" if request.stream else "stream")])
        arguments = ("GetStream", reading.log.name, reading.tenant, request.stream, reading.revealed)
        size = min(request.page_size or PAGE_SIZE_MAXIMUM, PAGE_SIZE_MAXIMUM)
        if size < 0:
            raise FieldsInvalid([FieldViolation("page_size")])
        after = self._pages.read(request.page_token, arguments, int) or 0
        key = (reading.tenant, request.stream)
        try:
            events = [event for event in (await reading.log.read_streams([key]))[key] if event.version > after]
        except LimitExceeded:
            # Only the day's record of access grows that long; ReadEvents with this stream as its filter reads it.
            raise FieldsInvalid([FieldViolation("stream")]) from None
        page = events[:size]
        await self._record(reading, [request.stream])
        token = self._pages.make(arguments, page[-1].version) if len(events) > size else ""
        return audit_pb2.GetStreamResponse(events=await self._messages(reading, page), next_page_token=token)

    async def _follow(self, reading: _Reading, request: audit_pb2.ReadEventsRequest) -> AsyncIterator[Frame]:
        streams = frozenset(request.streams)
        position = max(request.from_position - 1, 0)
        checkpoint = _Checkpoint(self._clock, position)
        ends = self._clock.monotonic() + LIFE_SECONDS
        live = False
        while self._clock.monotonic() < ends:
            # The end is read before the page: an event that comes between the two is in the page or after the checkpoint.
            head = await reading.log.head()
            page = await reading.log.read(position, READ_MAXIMUM, tags=tuple(request.tags), tenant=reading.tenant)
            wanted = [event for event in page if event.stream in streams] if streams else page
            for message in await self._reveal(reading, wanted):
                yield Frame(event=message)
            full = len(page) == READ_MAXIMUM
            position = page[-1].position if full else max(head, position, page[-1].position if page else 0)
            if full and live:
                live = False
                yield Frame(fell_behind=audit_pb2.FellBehind(position=position, head_position=head))
            if not full and not live:
                live = True
                checkpoint.sent(position)
                yield Frame(caught_up=audit_pb2.CaughtUp(position=position))
                if not request.follow:
                    return
            if checkpoint.due(position, len(wanted)):
                checkpoint.sent(position)
                yield Frame(checkpoint=audit_pb2.Checkpoint(position=position))
            if not full:
                await self._clock.sleep(POLL_SECONDS)
        yield Frame(checkpoint=audit_pb2.Checkpoint(position=position))

    def _reading(self, method: str, parent: str, log: str, reason: str, *, reveal: bool) -> _Reading:
        principal = require_permission(REVEAL) if reveal else caller()
        if principal.sites is not None:
            # A log tells of every site of the tenant, so whoever reaches only some of them reads none.
            raise ApiError(ErrorReason.ERROR_REASON_RESOURCE_FOREIGN)
        if reveal:
            require_reason(reason)
        found = self._logs.get(log or self._own)
        if found is None:
            raise FieldsInvalid([FieldViolation("log")])
        tenant = parent.removeprefix("tenants/")
        if "/" in tenant:
            raise FieldsInvalid([FieldViolation("parent", ErrorReason.ERROR_REASON_RESOURCE_NAME_INVALID)])
        return _Reading(principal, method, found, None if tenant == EVERY_TENANT_SEGMENT else tenant, reveal, reason.strip())

    async def _reveal(self, reading: _Reading, events: Sequence[StoredEvent]) -> list[audit_pb2.Event]:
        sealed = [event.stream for event in events if has_sealed_fields(event.payload)] if reading.revealed else []
        if sealed:
            # Recorded page by page, and only for pages that hold something sealed: a reader that follows would else read of itself.
            await self._record(reading, list(dict.fromkeys(sealed)))
        return await self._messages(reading, events)

    async def _messages(self, reading: _Reading, events: Sequence[StoredEvent]) -> list[audit_pb2.Event]:
        opened = await self._opener.open(events) if reading.revealed else [b""] * len(events)
        name = reading.log.name
        return [_message(name, event, said, revealed=reading.revealed) for event, said in zip(events, opened, strict=True)]

    async def _record(self, reading: _Reading, streams: Sequence[str]) -> None:
        await self._recorder.read(
            reading.principal,
            reading.method,
            tenant=reading.tenant or "",
            documents=[stream.partition("/")[0] for stream in streams],
            revealed=reading.revealed,
            reason=reading.reason,
        )


class _Checkpoint:
    """When the reader must be told how far the read has come."""

    def __init__(self, clock: Clock, position: int) -> None:
        self._clock = clock
        self._events = 0
        self.sent(position)

    def sent(self, position: int) -> None:
        """The reader knows of this position."""
        self._events = 0
        self._position = position
        self._at = self._clock.monotonic()

    def due(self, position: int, events: int) -> bool:
        """Whether 1000 events or 5 seconds went by since, and something was read."""
        self._events += events
        late = self._clock.monotonic() - self._at >= CHECKPOINT_SECONDS
        return position > self._position and (late or self._events >= CHECKPOINT_EVENTS)


def _message(log: str, event: StoredEvent, opened: bytes, *, revealed: bool) -> audit_pb2.Event:
    payload, left_out = (event.payload, ()) if revealed else leave_out(event.payload)
    recorded = Timestamp()
    recorded.FromDatetime(event.recorded_at)
    return audit_pb2.Event(
        log=log,
        position=event.position,
        tenant=event.tenant,
        tenant_sequence=event.tenant_sequence,
        stream=event.stream,
        version=event.version,
        event_id=str(event.event_id),
        tag=event.tag,
        partition=event.partition,
        record_time=recorded,
        actor=event.actor,
        traceparent=event.traceparent,
        payload=payload,
        sealed_fields=left_out,
        opened=opened,
    )
