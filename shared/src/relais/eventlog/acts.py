"""How what a person decides through an API gets into a log: decided on what is loaded now, stored whole or not at all, at most once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID, uuid4

from relais.contracts import Fact, encode
from relais.eventlog.log import BatchConflict, EventLog, OutcomeUnknown
from relais.eventlog.record import Append, NewEvent

CONFLICTS_MAXIMUM: Final = 5

Decided = TypeVar("Decided")


@dataclass(frozen=True, slots=True)
class Act:
    """One act of a caller: who, for which tenant, in which trace. Its id makes a repeated storing of its facts harmless."""

    tenant: str
    actor: str
    traceparent: str = ""
    id: UUID | None = None

    def event(self, stream: str, fact: Fact, partition: int, version: int) -> NewEvent:
        """One event of this act."""
        return NewEvent(
            tenant=self.tenant,
            stream=stream,
            tag=fact.TAG,
            payload=encode(fact),
            event_id=self.id or uuid4(),
            partition=partition,
            actor=self.actor,
            traceparent=self.traceparent,
            expected_version=version,
        )


async def record(
    log: EventLog, committed: Callable[[], None], decide: Callable[[], Awaitable[tuple[Decided, Sequence[Append]]]]
) -> Decided:
    """Load and decide, store, and decide again when somebody else was first. Raises `BatchConflict` after CONFLICTS_MAXIMUM times.

    An answer that was lost is asked for by storing the same events again: their ids say whether they are there.
    """
    conflicts = 0
    while True:
        decided, appends = await decide()
        if not appends:
            return decided
        try:
            await _store(log, appends)
        except BatchConflict:
            conflicts += 1
            if conflicts == CONFLICTS_MAXIMUM:
                raise
            continue
        committed()
        return decided


async def _store(log: EventLog, appends: Sequence[Append]) -> None:
    try:
        await log.append(appends, all_or_nothing=True)
    except OutcomeUnknown:
        await log.append(appends, all_or_nothing=True)
