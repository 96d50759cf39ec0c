"""A log behind a connection that breaks when the test says so."""

from collections.abc import Sequence

from relais.eventlog.log import EventLog, LogUnavailable, OutcomeUnknown
from relais.eventlog.record import Append, Appended, Checkpoint


class FaultyLog:
    """The log behind a connection that breaks: `faults` says how each append goes wrong, None for not at all."""

    def __init__(self, log: EventLog, faults: list[str | None], appended: list[int]) -> None:
        self._log = log
        self._faults = faults
        self._appended = appended
        self.read = log.read
        self.read_streams = log.read_streams
        self.find = log.find
        self.head = log.head
        self.checkpoints = log.checkpoints
        self.claim = log.claim
        self.name = log.name

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        fault = self._faults.pop(0) if self._faults else None
        if fault == "before":
            raise LogUnavailable
        self._appended.append(len(appends))
        results = await self._log.append(appends, checkpoints=checkpoints, all_or_nothing=all_or_nothing)
        if fault == "after":
            raise OutcomeUnknown
        return results
