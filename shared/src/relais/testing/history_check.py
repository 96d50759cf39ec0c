"""The invariants of `relais.testing.history`, one function each or nearly so; every one passes over its input once."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relais.eventlog.record import StoredEvent
from relais.testing.history_records import Ended, Invoked, Read

VIOLATIONS_SHOWN_MAXIMUM = 20

_REFUSED = ("conflict", "failed")


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: the invariant's letter, and where."""

    invariant: str
    place: str

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.place}"


@dataclass(slots=True)
class Report:
    """What the checker found; empty is good."""

    violations: list[Violation] = field(default_factory=list)

    @property
    def broken(self) -> set[str]:
        """The letters of the invariants that do not hold."""
        return {violation.invariant for violation in self.violations}

    def add(self, invariant: str, place: str) -> None:
        """Note one violation."""
        self.violations.append(Violation(invariant, place))

    def require(self) -> None:
        """Fail, naming the first violations, unless all invariants hold."""
        if self.violations:
            shown = "\n".join(str(violation) for violation in self.violations[:VIOLATIONS_SHOWN_MAXIMUM])
            raise AssertionError(f"{len(self.violations)} violations of invariants {', '.join(sorted(self.broken))}\n{shown}")


class Indexed:
    """A log's events by id and by stream."""

    def __init__(self, events: Sequence[StoredEvent]) -> None:
        self.events = events
        self.by_id: dict[str, list[StoredEvent]] = defaultdict(list)
        self.streams: dict[tuple[str, str], list[StoredEvent]] = defaultdict(list)
        for event in events:
            self.by_id[str(event.event_id)].append(event)
            self.streams[event.tenant, event.stream].append(event)


def check_order(report: Report, log: str, index: Indexed) -> None:
    """Invariant c, and of a that no id is there twice."""
    tenant_sequences: Counter[str] = Counter()
    versions: Counter[tuple[str, str]] = Counter()
    before: StoredEvent | None = None
    for place, event in enumerate(index.events, start=1):
        tenant_sequences[event.tenant] += 1
        versions[event.tenant, event.stream] += 1
        if event.position != place:
            report.add("c", f"{log}: position {event.position} stands at place {place}")
        if event.tenant_sequence != tenant_sequences[event.tenant]:
            report.add("c", f"{log}: tenant sequence {event.tenant_sequence} at position {event.position} breaks the count")
        if event.version != versions[event.tenant, event.stream]:
            report.add("c", f"{log}: version {event.version} at position {event.position} breaks the count")
        if before is not None and event.recorded_at < before.recorded_at:
            report.add("c", f"{log}: position {event.position} was recorded before position {before.position}")
        before = event
    for event_id, events in index.by_id.items():
        if len(events) > 1:
            report.add("a", f"{log}: event {event_id} is there {len(events)} times")


def check_acknowledged(report: Report, log: str, index: Indexed, invoked: Mapping[str, Invoked], ended: Mapping[str, Ended]) -> None:
    """Invariant a for what was acknowledged, and e for appends that expected a version."""
    for operation, begun in invoked.items():
        end = ended.get(operation)
        if end is None or end.outcome not in ("stored", "duplicate"):
            continue
        places = [index.by_id[event_id][0] for event_id in begun.event_ids if event_id in index.by_id]
        if not places or (end.outcome == "stored" and len(places) < len(begun.event_ids)):
            report.add("a", f"{log}: {operation} was acknowledged and is not there")
            continue
        # A repeat is answered with the place of one of its events; an append that was stored, with that of its last.
        if (end.position, end.version) not in [
            (event.position, event.version) for event in (places if end.outcome == "duplicate" else places[-1:])
        ]:
            report.add("a", f"{log}: {operation} was acknowledged at position {end.position} and lies at {places[-1].position}")
        if end.outcome == "stored" and begun.expected_version is not None and places[0].version != begun.expected_version + 1:
            report.add("e", f"{log}: {operation} expected version {begun.expected_version} and became version {places[0].version}")


def check_refused(report: Report, log: str, index: Indexed, invoked: Mapping[str, Invoked], ended: Mapping[str, Ended]) -> None:
    """Invariant b, and e for conflicts. An id that another, not refused, operation brought as well may be there."""
    excused: set[str] = set()
    for operation, begun in invoked.items():
        end = ended.get(operation)
        if end is None or end.outcome not in _REFUSED:
            excused.update(begun.event_ids)
    for operation, begun in invoked.items():
        end = ended.get(operation)
        if end is None or end.outcome not in _REFUSED:
            continue
        if any(event_id in index.by_id and event_id not in excused for event_id in begun.event_ids):
            report.add("b", f"{log}: {operation} was refused and is there")
        if end.outcome == "conflict":
            _check_witness(report, log, index, begun, end)


def _check_witness(report: Report, log: str, index: Indexed, begun: Invoked, end: Ended) -> None:
    """A conflict is honest when the stream really was at another version: somebody else's event stands where this one wanted to be."""
    stream = index.streams.get((begun.tenant, begun.stream), [])
    wanted = begun.expected_version
    if wanted is None or wanted == end.version or len(stream) < end.version:
        report.add("e", f"{log}: {begun.operation} was told of a conflict at version {end.version} that nothing witnesses")
    elif wanted < end.version and str(stream[wanted].event_id) in begun.event_ids:
        report.add("e", f"{log}: {begun.operation} was told of a conflict with itself")


def check_reads(
    report: Report, log: str, index: Indexed, reads: Sequence[Read], invoked: Mapping[str, Invoked], ended: Mapping[str, Ended]
) -> None:
    """Invariants d and f."""
    reached: dict[str, int] = {}
    for read in sorted(reads, key=lambda record: record.at):
        if read.after > reached.get(read.reader, read.after):
            report.add("f", f"{log}: {read.reader} jumped from {reached[read.reader]} to {read.after}")
        if read.seen:
            _check_page(report, log, index, read)
            reached[read.reader] = max(reached.get(read.reader, 0), read.seen[-1][0])
        else:
            reached.setdefault(read.reader, read.after)
    _check_real_time(report, log, index, reads, invoked, ended)


def _check_page(report: Report, log: str, index: Indexed, read: Read) -> None:
    expected = tuple(
        (event.position, str(event.event_id))
        for event in index.events[max(read.after, 0) : read.seen[-1][0]]
        if (not read.partitions or event.partition in read.partitions)
        and (not read.tags or event.tag in read.tags)
        and (read.tenant is None or event.tenant == read.tenant)
    )
    if expected != read.seen:
        report.add("f", f"{log}: {read.reader} saw after {read.after} something else than the log's order, up to {read.seen[-1][0]}")


def _check_real_time(
    report: Report, log: str, index: Indexed, reads: Sequence[Read], invoked: Mapping[str, Invoked], ended: Mapping[str, Ended]
) -> None:
    """Walk through time once, with the highest position anybody had been told of so far."""
    told = [(end.at, end.position) for operation, end in ended.items() if operation in invoked and end.outcome in ("stored", "duplicate")]
    told += [(read.at, read.seen[-1][0]) for read in reads if read.seen]
    told.sort()
    stored = [
        (begun.at, begun) for operation, begun in invoked.items() if (end := ended.get(operation)) is not None and end.outcome == "stored"
    ]
    stored.sort(key=lambda pair: pair[0])
    highest = place = 0
    for at, begun in stored:
        while place < len(told) and told[place][0] < at:
            highest = max(highest, told[place][1])
            place += 1
        positions = [index.by_id[event_id][0].position for event_id in begun.event_ids if event_id in index.by_id]
        if positions and min(positions) <= highest:
            report.add("d", f"{log}: {begun.operation} lies at {min(positions)}, though {highest} was known before it began")


def check_effects(report: Report, consumer: str, done: Sequence[str], wanted: frozenset[str]) -> None:
    """Invariant g."""
    counts = Counter(done)
    for key, count in counts.items():
        if count > 1:
            report.add("g", f"{consumer}: {key} was done {count} times")
        if key not in wanted:
            report.add("g", f"{consumer}: {key} was done though nothing asked for it")
    for key in wanted - counts.keys():
        report.add("g", f"{consumer}: {key} was never done")
