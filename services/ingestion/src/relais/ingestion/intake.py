"""The intake: decides what a submission is, seals it and makes it durable; only then is there a receipt.

Work goes in batches of whatever is queued, tenants in turn: one look-up of keys, one of states, one append with the bodies in
it. Two batches may be under way, so that one seals while the other commits.

Nearly every document was never sent before. When few come, their state is taken to be empty without a question, and the append is the
question: on the condition of an empty stream, so that the log refuses it where that is wrong, and then, and for a while after, states
are asked for first. Whatever is decided about a document that is known, a repeat or a reuse, is decided on what the log holds.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from uuid import UUID

from relais.chassis.failpoints import Failpoint, reach
from relais.clock import Clock
from relais.contracts import decode
from relais.contracts.ingestion import DocumentReceived
from relais.eventlog.log import EventLog, EventLogError, OutcomeUnknown
from relais.eventlog.record import Append, Appended, Outcome, StoredEvent
from relais.ingestion.domain import DOCUMENT, DocumentState, RefusalReason, SubmissionRefused, Verdict, judge
from relais.ingestion.fair_queue import FairQueue
from relais.ingestion.request import Checked
from relais.ingestion.sealing import BodySource, SealedSubmission, seal_submission
from relais.vault.vault import INLINE_BODY_BYTES_MAXIMUM, BlobStore, KeyRing, SubjectErased, SubjectKey, VaultError

BATCH_DOCUMENTS_MAXIMUM = 64
BATCH_BYTES_MAXIMUM = 8 * 1024 * 1024
QUEUE_DOCUMENTS_MAXIMUM = 2000
QUEUE_BYTES_MAXIMUM = 128 * 1024 * 1024
BATCHES_IN_FLIGHT = 2
CONFLICT_RETRIES_MAXIMUM = 5
# Where one document was known, others will be: a sender that was cut off repeats all that it had no answer to.
ASK_FIRST_SECONDS = 10.0
# A question for as many as this costs each of them next to nothing, and meanwhile the next batch grows (measured: 36 and not 23 documents).
SUPPOSED_MAXIMUM = 16


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender gets once everything is durable. `repeat` says that this is the first request's receipt again."""

    document: str
    sha256: bytes
    tenant_sequence: int
    recorded_at: datetime | None
    repeat: bool = False


@dataclass(slots=True, eq=False)
class _Waiting:
    """One submission in the queue."""

    checked: Checked
    source: BodySource
    receipt: "asyncio.Future[Receipt]"
    conflicts: int = 0

    @property
    def size(self) -> int:
        return len(self.source.body) if self.source.body is not None else 0

    @property
    def travels_in_append(self) -> bool:
        """Whether nothing at all is stored when its append is refused."""
        return self.source.body is not None and len(self.source.body) <= INLINE_BODY_BYTES_MAXIMUM


class Intake:
    """Takes checked submissions in. Built once per replica; `run` must be running for anything to be answered."""

    def __init__(self, log: EventLog, keys: KeyRing, blobs: BlobStore, clock: Clock, committed: Callable[[], None]) -> None:
        self._log = log
        self._keys = keys
        self._blobs = blobs
        self._clock = clock
        self._committed = committed
        self._queue: FairQueue[_Waiting] = FairQueue(QUEUE_DOCUMENTS_MAXIMUM, QUEUE_BYTES_MAXIMUM)
        self._ask_until = float("-inf")

    def enqueue(self, checked: Checked, source: BodySource) -> "asyncio.Future[Receipt]":
        """Queue a submission; its receipt, or the `SubmissionRefused` that answers it, comes through the future.

        Raises `QueueFull` when the intake is over its limits. A plain future, and no task of its own, keeps the bulk path cheap.
        """
        waiting = _Waiting(checked, source, asyncio.get_running_loop().create_future())
        self._queue.put(checked.request.tenant, waiting, waiting.size)
        return waiting.receipt

    async def preview(self, checked: Checked) -> Verdict:
        """What the submission would be, nothing stored. Raises `SubmissionRefused` exactly as `submit` would."""
        key = (checked.request.tenant, checked.document)
        streams, found = await asyncio.gather(self._log.read_streams([key]), self._log.find([checked.request.event_id]))
        other = found.get(checked.request.event_id)
        if other is not None and other.stream != checked.document:
            raise SubmissionRefused(RefusalReason.REQUEST_ID_REUSED, "request_id")
        return judge(_state(streams[key]), checked.request.request, checked.fingerprints, checked.request.flags)

    async def run(self) -> None:
        """Work until cancelled; `BATCHES_IN_FLIGHT` workers share the queue."""
        async with asyncio.TaskGroup() as group:
            for _ in range(BATCHES_IN_FLIGHT):
                group.create_task(self._work())

    async def drain(self) -> None:
        """Wait until everything that was queued has its answer."""
        await self._queue.drained()

    async def _work(self) -> None:
        while True:
            batch = await self._queue.take(BATCH_DOCUMENTS_MAXIMUM, BATCH_BYTES_MAXIMUM)
            try:
                await self._take_in(batch)
            except (EventLogError, VaultError, OSError) as error:
                # The senders get the failure and repeat under the same request id; the worker goes on with the next batch.
                for waiting in batch:
                    _fail(waiting, error)
            finally:
                self._queue.done(len(batch), sum(waiting.size for waiting in batch))

    async def _take_in(self, batch: Sequence[_Waiting]) -> None:
        pending = list(batch)
        while pending:
            subjects, states = await self._ask(pending)
            todo: list[_Waiting] = []
            sealed: list[SealedSubmission] = []
            again: list[_Waiting] = []
            seen: set[tuple[str, str]] = set()
            for waiting, subject in zip(pending, subjects, strict=True):
                key = (waiting.checked.request.tenant, waiting.checked.document)
                if key in seen:
                    again.append(waiting)
                    self._ask_until = self._clock.monotonic() + ASK_FIRST_SECONDS
                    continue
                seen.add(key)
                prepared = self._decide(waiting, subject, states[key])
                if prepared is not None:
                    todo.append(waiting)
                    sealed.append(prepared)
            await self._stage(sealed)
            answers = await self._append(sealed)
            again.extend(await self._answer(todo, answers))
            pending = again

    async def _ask(self, pending: Sequence[_Waiting]) -> tuple[list[SubjectKey | None], dict[tuple[str, str], list[StoredEvent]]]:
        new, states = await asyncio.gather(
            self._keys.subjects_for([(one.checked.request.tenant, one.checked.identity) for one in pending]), self._states(pending)
        )
        subjects: list[SubjectKey | None] = list(new)
        known = [(index, one.checked) for index, one in enumerate(pending) if states[one.checked.request.tenant, one.checked.document]]
        if known:
            # A known document keeps the subject of its first receipt: its body is sealed under that key.
            owners = [(c.request.tenant, _owner(states[c.request.tenant, c.document][0])) for _, c in known]
            for (index, _), subject in zip(known, await self._keys.subjects(owners), strict=True):
                subjects[index] = subject
        return subjects, states

    async def _states(self, pending: Sequence[_Waiting]) -> dict[tuple[str, str], list[StoredEvent]]:
        streams = [(one.checked.request.tenant, one.checked.document) for one in pending]
        is_quiet = len(pending) < SUPPOSED_MAXIMUM and self._clock.monotonic() >= self._ask_until
        if is_quiet and all(one.travels_in_append for one in pending):
            return {stream: [] for stream in streams}
        return await self._log.read_streams(streams)

    def _decide(self, waiting: _Waiting, subject: SubjectKey | None, stored: list[StoredEvent]) -> SealedSubmission | None:
        checked = waiting.checked
        state = _state(stored)
        try:
            verdict = judge(state, checked.request.request, checked.fingerprints, checked.request.flags)
        except SubmissionRefused as refusal:
            _fail(waiting, refusal)
            return None
        if verdict is Verdict.REPEAT:
            event = stored[state.requests[checked.request.request][1] - 1]
            _succeed(waiting, Receipt(checked.document, checked.sha256, event.tenant_sequence, event.recorded_at, repeat=True))
            return None
        if subject is None:
            _fail(waiting, SubjectErased())
            return None
        source = waiting.source if verdict is Verdict.NEW_DOCUMENT else BodySource(reference=_received(stored[0]).submission.body)
        try:
            return seal_submission(checked, state, subject, source, self._clock.now())
        except SubmissionRefused as refusal:
            _fail(waiting, refusal)
            return None

    async def _stage(self, sealed: Sequence[SealedSubmission]) -> None:
        large = list(chain.from_iterable(one.staged for one in sealed))
        if large:
            await self._blobs.put(large)
            reach(Failpoint.INTAKE_AFTER_STAGE)

    async def _append(self, sealed: Sequence[SealedSubmission]) -> list[Appended]:
        together = [one.append for one in sealed if not one.names_staged_body]
        answers = iter(await self._append_once(together) if together else [])
        return [(await self._append_once([one.append]))[0] if one.names_staged_body else next(answers) for one in sealed]

    async def _append_once(self, appends: list[Append]) -> list[Appended]:
        reach(Failpoint.INTAKE_BEFORE_APPEND)
        try:
            answers = await self._log.append(appends)
        except OutcomeUnknown:
            # The ids decide: appending the same batch again stores nothing twice and says where everything is.
            answers = await self._log.append(appends)
        reach(Failpoint.INTAKE_AFTER_APPEND)
        self._committed()
        return answers

    async def _answer(self, todo: Sequence[_Waiting], answers: Sequence[Appended]) -> list[_Waiting]:
        again: list[_Waiting] = []
        for waiting, answer in zip(todo, answers, strict=True):
            checked = waiting.checked
            if answer.outcome is Outcome.STORED:
                _succeed(waiting, Receipt(checked.document, checked.sha256, answer.tenant_sequence, answer.recorded_at))
                continue
            self._ask_until = self._clock.monotonic() + ASK_FIRST_SECONDS
            if answer.outcome is Outcome.DUPLICATE and not await self._same_stream(checked):
                _fail(waiting, SubmissionRefused(RefusalReason.REQUEST_ID_REUSED, "request_id"))
            elif waiting.conflicts >= CONFLICT_RETRIES_MAXIMUM:
                _fail(waiting, SubmissionRefused(RefusalReason.TOO_MANY_REQUESTS, "request_id"))
            else:
                waiting.conflicts += 1
                again.append(waiting)
        return again

    async def _same_stream(self, checked: Checked) -> bool:
        found = await self._log.find([checked.request.event_id])
        event = found.get(checked.request.event_id)
        return event is None or event.stream == checked.document


def _state(stored: Sequence[StoredEvent]) -> DocumentState:
    return DOCUMENT.fold(decode(event.tag, event.payload) for event in stored)


def _received(event: StoredEvent) -> DocumentReceived:
    fact = decode(event.tag, event.payload)
    if not isinstance(fact, DocumentReceived):
        raise TypeError(f"the stream of a document begins with {fact.TAG}")
    return fact


def _owner(event: StoredEvent) -> UUID:
    return UUID(_received(event).submission.subject)


def _succeed(waiting: _Waiting, receipt: Receipt) -> None:
    if not waiting.receipt.done():
        waiting.receipt.set_result(receipt)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.receipt.done():
        waiting.receipt.set_exception(error)
