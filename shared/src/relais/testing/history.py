"""What clients of a log saw, and a checker that compares it with what the log holds, in linear time.

No search is needed, because every event has a unique id and its log says the order: each claim is looked up where it must be true.

    a  every acknowledged event is in its log exactly once, where the acknowledgement said
    b  no event that was definitely refused is there
    c  positions, tenant sequences and stream versions count from 1 without a gap, and time never runs backwards
    d  what was acknowledged (or read) before an append was begun lies before it
    e  an append that expected version v has version v + 1, and every conflict has a witness
    f  whoever reads sees the log's order without a gap, whatever filter is on
    g  a consumer's effects are exactly those its inbox asks for, each once

Invariant h, that all signed checkpoints are consistent with one another, belongs to the proofs and is checked there.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from relais.eventlog.log import READ_MAXIMUM, EventLog
from relais.eventlog.record import Append, Appended, StoredEvent
from relais.testing.history_check import Indexed, Report, check_acknowledged, check_effects, check_order, check_reads, check_refused
from relais.testing.history_records import Effect, Ended, Invoked, Read

__all__ = ["History", "Inbox", "LogContent", "Report", "check", "content_of"]

Record = Invoked | Ended | Read | Effect

_decoder: Final = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class LogContent:
    """A whole log as it stood when everything was over."""

    name: str
    events: Sequence[StoredEvent]


@dataclass(frozen=True, slots=True)
class Inbox:
    """The keys of the effects that a consumer must have had, each exactly once."""

    consumer: str
    keys: frozenset[str]


class History:
    """Records of one process, in the order things happened to it.

    Times are nanoseconds of a clock that all processes of a test share (Linux's monotonic clock is one); tests of the checker hand in
    their own. Given a `path`, every record is written there at once, one JSON line each, so that a process that is killed leaves its
    history; `load` puts the histories of several processes together.
    """

    def __init__(self, now: Callable[[], int] = time.monotonic_ns, path: Path | None = None) -> None:
        self.records: list[Record] = []
        self._file = None if path is None else path.open("ab", buffering=0)
        self._now = now
        self._numbers = itertools.count(1)
        self._process = secrets.token_hex(4)

    def invoke(self, log: str, append: Append) -> str:
        """An append is about to be sent; the returned operation's name is handed to one of the endings."""
        operation = f"{self._process}-{next(self._numbers)}"
        first = append.events[0]
        ids = tuple(str(event.event_id) for event in append.events)
        self._add(Invoked(operation, self._now(), log, first.tenant, first.stream, ids, first.expected_version))
        return operation

    def ended(self, operation: str, appended: Appended) -> None:
        """The log answered: stored, duplicate or conflict."""
        self._add(Ended(operation, self._now(), appended.outcome.value, appended.position, appended.version))

    def failed(self, operation: str) -> None:
        """The log said that nothing was stored."""
        self._add(Ended(operation, self._now(), "failed"))

    def unknown(self, operation: str) -> None:
        """No answer came; the event may be there or not. The same as never ending the operation."""
        self._add(Ended(operation, self._now(), "unknown"))

    def read(
        self,
        reader: str,
        log: str,
        after: int,
        events: Iterable[StoredEvent],
        *,
        partitions: Iterable[int] = (),
        tags: Iterable[str] = (),
        tenant: str | None = None,
    ) -> None:
        """A reader asked for what follows position `after`, under these filters (none: everything), and got these events."""
        seen = tuple((event.position, str(event.event_id)) for event in events)
        self._add(Read(reader, self._now(), log, after, seen, tuple(partitions), tuple(tags), tenant))

    def effect(self, consumer: str, key: str) -> None:
        """A consumer did what a fact asked for: a call a partner counted, a row it wrote. `key` names it, equal for a repeat."""
        self._add(Effect(consumer, self._now(), key))

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _add(self, record: Record) -> None:
        self.records.append(record)
        if self._file is not None:
            self._file.write(msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, *paths: Path) -> "History":
        """The history that several processes made together."""
        history = cls()
        history.records = [_decoder.decode(line) for path in paths for line in path.read_bytes().splitlines()]
        history.records.sort(key=lambda record: record.at)
        return history


async def content_of(log: EventLog) -> LogContent:
    """Read a whole log, page by page."""
    events: list[StoredEvent] = []
    while page := await log.read(events[-1].position if events else 0, READ_MAXIMUM):
        events += page
    return LogContent(log.name, events)


def check(history: History, logs: Sequence[LogContent], inboxes: Sequence[Inbox] = ()) -> Report:
    """Compare what was seen with what there is; the report names every violated invariant by its letter."""
    report = Report()
    indexed = {content.name: Indexed(content.events) for content in logs}
    invoked = {record.operation: record for record in history.records if isinstance(record, Invoked)}
    ended = {record.operation: record for record in history.records if isinstance(record, Ended)}
    reads = [record for record in history.records if isinstance(record, Read)]
    for name in sorted({record.log for record in invoked.values()} | {record.log for record in reads}):
        if name not in indexed:
            raise ValueError(f"the history speaks of the log {name!r}, whose content was not given")
    for name, index in indexed.items():
        here = {operation: record for operation, record in invoked.items() if record.log == name}
        check_order(report, name, index)
        check_acknowledged(report, name, index, here, ended)
        check_refused(report, name, index, here, ended)
        check_reads(report, name, index, [record for record in reads if record.log == name], here, ended)
    done: dict[str, list[str]] = {}
    for record in history.records:
        if isinstance(record, Effect):
            done.setdefault(record.consumer, []).append(record.key)
    for inbox in inboxes:
        check_effects(report, inbox.consumer, done.get(inbox.consumer, []), inbox.keys)
    return report
