"""The record of access (SAFETY 26): every denial, and every read of a document or of sealed data, becomes a fact of the service's own log.

A read waits until its fact is durable, together with whoever reads at the same moment. A denial never waits and never
makes anybody wait: equal denials are counted together and written once a second, so that a flood of them costs a row.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import structlog

from relais.chassis.access.principal import PLATFORM, Principal
from relais.clock import Clock
from relais.contracts import Fact, encode
from relais.contracts.access import AccessDenied, DocumentRead
from relais.contracts.subjects import partition_of
from relais.eventlog.limits import append_bytes
from relais.eventlog.log import APPENDS_MAXIMUM, BATCH_BYTES_MAXIMUM, EventLog, EventLogError, OutcomeUnknown
from relais.eventlog.record import Append, NewEvent

DENIAL_KINDS_MAXIMUM = 1000
DENIALS_FLUSH_SECONDS = 1.0
READS_PENDING_MAXIMUM = 2000
DOCUMENTS_PER_FACT_MAXIMUM = 500
ATTEMPTS_MAXIMUM = 3
ANONYMOUS = "anonymous"

_log = structlog.get_logger("relais.access")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What makes two denials equal."""

    tenant: str
    method: str
    code: str
    credential: str


_OVERFLOW = _Kind(PLATFORM, "*", "OVERFLOW", "")


class ReadsOverloaded(Exception):
    """Too many reads wait for their facts; the caller may try again."""


class AccessRecorder:
    """Writes facts about access to one log. `run` must be running for reads to be answered; what `flush` cannot write is kept."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._denials: dict[_Kind, int] = {}
        self._unwritten: list[Append] = []
        self._flushing = asyncio.Lock()
        self._reads: list[tuple[Append, asyncio.Future[None]]] = []
        self._wanted = asyncio.Event()

    @property
    def denials_waiting(self) -> int:
        """How many kinds of denials are not written yet."""
        return len(self._denials) + len(self._unwritten)

    def denied(self, *, method: str, code: str, credential: str = "", tenant: str = "") -> None:
        """Count a denial. `method` must be one of ours or `*`: a caller's own words never reach the log."""
        kind = _Kind(tenant or PLATFORM, method, code, credential)
        if kind not in self._denials and len(self._denials) >= DENIAL_KINDS_MAXIMUM:
            if _OVERFLOW not in self._denials:
                _log.warning("denials_overflowed", count=DENIAL_KINDS_MAXIMUM)
            kind = _OVERFLOW
        self._denials[kind] = self._denials.get(kind, 0) + 1

    async def read(
        self, principal: Principal, method: str, *, tenant: str, documents: Sequence[str] = (), revealed: bool = False, reason: str = ""
    ) -> None:
        """Return once the fact of this read is durable; only then answer. `documents` are ids; more than 500 make several facts.

        Raises `ReadsOverloaded`, or an `EventLogError` when the log cannot be written: then the read must not be answered.
        """
        if len(self._reads) >= READS_PENDING_MAXIMUM:
            raise ReadsOverloaded
        pieces = [documents[n : n + DOCUMENTS_PER_FACT_MAXIMUM] for n in range(0, len(documents), DOCUMENTS_PER_FACT_MAXIMUM)] or [()]
        facts = [DocumentRead(method=method, documents=tuple(piece), revealed=revealed, reason=reason) for piece in pieces]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reads.append((Append(tuple(self._event(tenant or PLATFORM, fact, principal.credential) for fact in facts)), done))
        self._wanted.set()
        await done

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_reads())
                group.create_task(self._write_denials())
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write the denials counted so far; on failure they are kept."""
        async with self._flushing:
            while self._unwritten or self._denials:
                if not self._unwritten:
                    denials, self._denials = self._denials, {}
                    self._unwritten = [self._denial(kind, count) for kind, count in denials.items()]
                batch = self._unwritten[:APPENDS_MAXIMUM]
                try:
                    await self._append(batch)
                except EventLogError as error:
                    _log.warning("denials_not_recorded", count=len(self._unwritten), error=type(error).__name__)
                    return
                # Only now, and by their ids: a flush that is cut off here writes the same facts again, which stores nothing twice.
                del self._unwritten[: len(batch)]

    async def _write_denials(self) -> None:
        while True:
            await self._clock.sleep(DENIALS_FLUSH_SECONDS)
            if self.denials_waiting:
                await self.flush()

    async def _write_reads(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._reads:
                await self._answer(self._next_batch())

    def _next_batch(self) -> list[tuple[Append, "asyncio.Future[None]"]]:
        size = count = 0
        for append, _ in self._reads[:APPENDS_MAXIMUM]:
            size += append_bytes(append)
            if count and size > BATCH_BYTES_MAXIMUM:
                break
            count += 1
        batch, self._reads = self._reads[:count], self._reads[count:]
        return batch

    async def _answer(self, batch: Sequence[tuple[Append, "asyncio.Future[None]"]]) -> None:
        try:
            await self._append([append for append, _ in batch])
        except EventLogError as error:
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for _, done in batch:
            if not done.done():
                done.set_result(None)

    async def _append(self, appends: list[Append]) -> None:
        for attempt in range(1, ATTEMPTS_MAXIMUM + 1):
            try:
                # The events carry their ids: appending again what was stored already stores nothing.
                await self._log.append(appends)
                return
            except OutcomeUnknown:
                if attempt == ATTEMPTS_MAXIMUM:
                    raise

    def _denial(self, kind: _Kind, count: int) -> Append:
        fact = AccessDenied(method=kind.method, code=kind.code, credential=kind.credential, count=count)
        return Append((self._event(kind.tenant, fact, kind.credential or ANONYMOUS),))

    def _event(self, tenant: str, fact: Fact, actor: str) -> NewEvent:
        # One stream a day: a stream for ever would grow without end.
        stream = f"access/{self._clock.now():%Y-%m-%d}"
        return NewEvent(
            tenant=tenant,
            stream=stream,
            tag=fact.TAG,
            payload=encode(fact),
            event_id=uuid4(),
            partition=partition_of(tenant, stream),
            actor=actor,
        )
