"""The dispatcher of one endpoint, alive as long as this replica holds the endpoint's lease."""

import asyncio
from collections.abc import Sequence

import structlog

from relais.chassis.failpoints import Failpoint, reach
from relais.contracts import Fact
from relais.contracts.delivery import DeliveryAbandoned
from relais.contracts.reasons import AbandonReason
from relais.delivery.dispatcher.desk import Desk
from relais.delivery.dispatcher.gate import Gate
from relais.delivery.dispatcher.loading import CannotOpen, Loaded
from relais.delivery.dispatcher.measures import Measures
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.dispatcher.pulling import Puller
from relais.delivery.dispatcher.rate import Rate
from relais.delivery.dispatcher.settings import WINDOW_DOCUMENTS_MAXIMUM, EndpointSettings
from relais.delivery.dispatcher.tools import Tools
from relais.delivery.domain.answers import Answer, Refused, Retry, Unknown
from relais.delivery.domain.commands import CannotSend, DeliveryCommand, GiveBack, NotStarted, RecordAnswer
from relais.delivery.domain.state import Phase
from relais.delivery.ports import BodyUnavailable, BodyUnreadable, Connector, DeliveryId, EndpointLease
from relais.eventlog.log import LogUnavailable
from relais.transport.bell import Bell
from relais.vault.vault import VaultUnavailable

AWAY_DELAY_SECONDS = 1.0
DRAIN_MARGIN_SECONDS = 5.0
TOO_LARGE = "TOO_LARGE_FOR_ENDPOINT"
BODY_AWAY = "VAULT_UNAVAILABLE"
_IDLE_SECONDS = 3600.0

_log = structlog.get_logger("relais.delivery")


class EndpointDispatcher:
    """Three kinds of tasks share one desk: one pulls, one loads, `concurrency` call. All end with `run`."""

    def __init__(self, settings: EndpointSettings, connector: Connector, lease: EndpointLease, tools: Tools) -> None:
        self._settings = settings
        self._connector = connector
        self._tools = tools
        self._clock = tools.clock
        self._measures = Measures(tools.meters, settings.connector)
        self._desk = Desk(tools.clock)
        self._gate = Gate(settings, lease, tools.clock)
        self._rate = Rate(settings.rate_per_second, settings.concurrency, tools.clock)
        self._loaded: asyncio.Queue[Loaded] = asyncio.Queue(WINDOW_DOCUMENTS_MAXIMUM)
        self._load_bell, self._left_bell = Bell(), Bell()
        self._puller = Puller(settings, self._desk, self._gate, tools, self._load_bell.ring)

    @property
    def endpoint(self) -> str:
        """The endpoint's id."""
        return self._settings.id

    @property
    def broken(self) -> bool:
        """Whether the partner failed so often that it is left alone for a while."""
        return not self._gate.breaker.closed

    async def run(self) -> None:
        """Dispatch until cancelled; call `drain` first for an orderly end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._puller.run())
            group.create_task(self._load())
            for _ in range(self._settings.concurrency):
                group.create_task(self._call())

    def wake(self) -> None:
        """Something was scheduled here: look now rather than at the next poll."""
        self._puller.bell.ring()

    def reserve(self, delivery: DeliveryId) -> bool:
        """Whether the attempt of a new delivery may be recorded together with its schedule, to be handed over afterwards."""
        return self._gate.wide_open and self._desk.reserve(delivery)

    def hand_over(self, parcel: Parcel) -> None:
        """The attempt of a reserved delivery is recorded; its batch may have withdrawn it in the same breath."""
        if parcel.state.phase is not Phase.ATTEMPTED:
            self.release(parcel.id)
        elif self._desk.hand_over(parcel):
            self._load_bell.ring()

    def release(self, delivery: DeliveryId) -> None:
        """The attempt of a reserved delivery was not recorded, or not by us: the queue tells what became of it."""
        self._left(delivery)

    async def drain(self) -> None:
        """Begin nothing new, give back what was not begun, and wait, a bounded time, for the calls under way to be recorded."""
        self._gate.closing = True
        self._load_bell.ring()
        ends = self._clock.monotonic() + self._settings.deadline_seconds + DRAIN_MARGIN_SECONDS
        while self._desk.in_flight and self._clock.monotonic() < ends:
            await self._left_bell.wait(self._clock, ends - self._clock.monotonic())

    async def _load(self) -> None:
        while True:
            batch = self._desk.next_batch()
            if batch:
                reach(Failpoint.DISPATCHER_AFTER_ATTEMPTED)
                for loaded in await self._load_batch(batch):
                    await self._loaded.put(loaded)
            else:
                await self._load_bell.wait(self._clock, _IDLE_SECONDS)

    async def _load_batch(self, batch: Sequence[Parcel]) -> list[Loaded]:
        shut = self._gate.shut()
        if shut is not None:
            return self._give_back_all(batch, shut)
        try:
            found = await self._tools.loader.load(batch)
        except (VaultUnavailable, LogUnavailable):
            return self._give_back_all(batch, NotStarted.VAULT_UNAVAILABLE)
        return found

    async def _call(self) -> None:
        while True:
            loaded = await self._loaded.get()
            await self._rate.take()
            await self._carry(loaded)

    async def _carry(self, loaded: Loaded) -> None:
        parcel, gate = loaded.parcel, self._gate
        try:
            loaded = await self._tools.loader.look_again(loaded)
        except (VaultUnavailable, LogUnavailable):
            self._give_back(parcel, NotStarted.VAULT_UNAVAILABLE)
            return
        shut = gate.shut()
        if loaded.closed:
            # Withdrawn or given up since, and then the recorder finds its outcome in the log; or its document is parked.
            self._give_back(parcel, NotStarted.DOCUMENT_PARKED)
        elif shut is not None:
            self._give_back(parcel, shut)
        elif parcel.size > self._settings.size_bytes_maximum:
            self._answered(parcel, Refused(code=TOO_LARGE), 0.0)
        elif not gate.breaker.admit():
            self._give_back(parcel, NotStarted.ENDPOINT_DOWN)
        else:
            await self._ask(loaded)

    async def _ask(self, loaded: Loaded) -> None:
        """The breaker has admitted this call: it must be told how it went."""
        parcel, breaker = loaded.parcel, self._gate.breaker
        began = self._clock.monotonic()
        try:
            call = self._tools.loader.open(loaded, self._settings.deadline_seconds)
            answer = await self._connector.deliver(call)
        except CannotOpen as error:
            breaker.withdrew()
            self._finish(parcel, CannotSend(attempt=parcel.state.attempts, reason=error.reason))
            return
        except BodyUnreadable:
            breaker.withdrew()
            self._finish(parcel, CannotSend(attempt=parcel.state.attempts, reason=AbandonReason.BODY_UNREADABLE))
            return
        except BodyUnavailable:
            breaker.withdrew()
            answer = Retry(code=BODY_AWAY, endpoint_fault=False)
        else:
            self._tell_breaker(answer)
        reach(Failpoint.DISPATCHER_AFTER_CALL)
        seconds = self._clock.monotonic() - began
        self._measures.called(answer, seconds)
        self._answered(parcel, answer, seconds)

    def _tell_breaker(self, answer: Answer) -> None:
        breaker = self._gate.breaker
        if isinstance(answer, Unknown) or (isinstance(answer, Retry) and answer.endpoint_fault):
            if breaker.failed():
                _log.warning("endpoint_broken", endpoint=self._settings.id, code=answer.code, seconds=breaker.wait_seconds())
        elif breaker.succeeded():
            _log.info("endpoint_mended", endpoint=self._settings.id)
            self.wake()

    def _answered(self, parcel: Parcel, answer: Answer, seconds: float) -> None:
        command = RecordAnswer(
            attempt=parcel.state.attempts,
            answer=answer,
            now=self._clock.now(),
            jitter=self._tools.chance(),
            policy=self._settings.retry,
            milliseconds=round(seconds * 1000),
        )
        self._finish(parcel, command)

    def _give_back_all(self, batch: Sequence[Parcel], reason: NotStarted) -> list[Loaded]:
        for parcel in batch:
            self._give_back(parcel, reason)
        return []

    def _give_back(self, parcel: Parcel, reason: NotStarted) -> None:
        delay_seconds = 0.0
        if reason is NotStarted.ENDPOINT_DOWN:
            delay_seconds = self._gate.breaker.wait_seconds() + self._tools.chance()
        elif reason is NotStarted.VAULT_UNAVAILABLE:
            delay_seconds = AWAY_DELAY_SECONDS
        command = GiveBack(attempt=parcel.state.attempts, reason=reason, now=self._clock.now(), delay_seconds=delay_seconds)
        self._finish(parcel, command)

    def _finish(self, parcel: Parcel, command: DeliveryCommand) -> None:
        """Its body leaves memory; it stays in flight until what became of it is recorded."""
        self._desk.leave_window(parcel)
        if self._desk.ready:
            self._load_bell.ring()
        self._tools.recorder.post(parcel, command, self._recorded)

    def _recorded(self, parcel: Parcel, facts: Sequence[Fact]) -> None:
        reach(Failpoint.DISPATCHER_AFTER_OUTCOME)
        now = self._clock.now().timestamp()
        for fact in facts:
            self._measures.recorded(fact, parcel.scheduled.submission.received_at, now)
            if isinstance(fact, DeliveryAbandoned):
                _log.warning("delivery_abandoned", document=fact.document, ordinal=fact.ordinal, reason=fact.reason.value, code=fact.code)
        self._left(parcel.id)

    def _left(self, delivery: DeliveryId) -> None:
        self._desk.finish(delivery)
        self._left_bell.ring()
        self._puller.room_grew()
