"""An event log that writes down what its caller sees, for the history checker."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from relais.eventlog.log import READ_MAXIMUM, EventLog, EventLogError, OutcomeUnknown
from relais.eventlog.record import Append, Appended, Checkpoint, StoredEvent
from relais.testing.history import History


class RecordingLog:
    """Passes everything on to `log` and everything it answers on to `history`; `reader` names who reads."""

    def __init__(self, log: EventLog, history: History, reader: str = "reader") -> None:
        self._log = log
        self._history = history
        self._reader = reader

    @property
    def name(self) -> str:
        return self._log.name

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        # An append of work rows alone puts nothing into the log that could be checked.
        operations = {place: self._history.invoke(self.name, append) for place, append in enumerate(appends) if append.events}
        try:
            answers = await self._log.append(appends, checkpoints=checkpoints, all_or_nothing=all_or_nothing)
        except OutcomeUnknown:
            for operation in operations.values():
                self._history.unknown(operation)
            raise
        except EventLogError:
            for operation in operations.values():
                self._history.failed(operation)
            raise
        for place, operation in operations.items():
            self._history.ended(operation, answers[place])
        return answers

    async def read(
        self, after: int, limit: int = READ_MAXIMUM, *, tags: Sequence[str] = (), tenant: str | None = None
    ) -> list[StoredEvent]:
        events = await self._log.read(after, limit, tags=tags, tenant=tenant)
        self._history.read(self._reader, self.name, after, events, tags=tags, tenant=tenant)
        return events

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        return await self._log.read_streams(tenant_streams)

    async def find(self, event_ids: Sequence[UUID]) -> dict[UUID, StoredEvent]:
        return await self._log.find(event_ids)

    async def head(self) -> int:
        return await self._log.head()

    async def checkpoints(self, consumer: str) -> list[Checkpoint]:
        return await self._log.checkpoints(consumer)

    async def claim(self, consumer: str, log: str, epochs: Mapping[int, int]) -> list[Checkpoint]:
        return await self._log.claim(consumer, log, epochs)
