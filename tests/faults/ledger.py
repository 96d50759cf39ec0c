"""What senders and auditors saw over all faults of one stack, as the history checker reads it."""

import base64
import hashlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4, uuid5

from relais.client.audit import Event
from relais.client.document_records import Receipt
from relais.client.errors import ClientError
from relais.eventlog.record import StoredEvent
from relais.ingestion.request import REQUEST_NAMESPACE
from relais.testing.history import History
from relais.testing.history_records import Ended, Invoked, Read
from tests.faults.senders import TENANT, Parcel, parcel


@dataclass(slots=True)
class Attempt:
    """One sending of a document: begun, and ended with a receipt, with a refusal, or with nothing known. Monotonic nanoseconds."""

    operation: str
    begun_at: int
    ended_at: int = 0
    receipt: Receipt | None = None


@dataclass(slots=True)
class Sent:
    """One document of one sender, over all its attempts. `first_at` is wall-clock time in seconds."""

    number: int
    request_id: str
    sha256: str
    first_at: float
    attempts: list[Attempt] = field(default_factory=list)
    acknowledged_at: float | None = None
    refusal: ClientError | None = None

    @property
    def receipt(self) -> Receipt | None:
        """The first receipt."""
        return next((attempt.receipt for attempt in self.attempts if attempt.receipt is not None), None)

    @property
    def document(self) -> str:
        """Its id, once it has a receipt."""
        receipt = self.receipt
        assert receipt is not None
        return receipt.document.rpartition("/")[2]

    @property
    def event_id(self) -> str:
        """The id of the fact that this request becomes, by the contract of ingestion."""
        return str(uuid5(REQUEST_NAMESPACE, f"{TENANT}/{self.request_id}"))


class Ledger:
    """Everything sent, answered and read on one stack, in the order of the faults."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.reads: list[Read] = []
        self.reads_counted = 0
        self.reached: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._operations = itertools.count(1)

    def new(self, *, large: bool = False) -> tuple[Sent, Parcel]:
        """A document that was never sent."""
        number = next(self._numbers)
        made = parcel(number, str(uuid4()), large=large)
        digest = base64.b64encode(hashlib.sha256(made.body).digest()).decode()
        sent = Sent(number, made.submission.request_id, digest, time.time())
        self.sent.append(sent)
        return sent, made

    def begin(self, sent: Sent) -> Attempt:
        """It is about to be sent, for the first time or again."""
        attempt = Attempt(f"send-{next(self._operations)}", time.monotonic_ns())
        sent.attempts.append(attempt)
        return attempt

    def acknowledged(self, sent: Sent, attempt: Attempt, receipt: Receipt) -> None:
        """The platform said yes."""
        attempt.ended_at, attempt.receipt = time.monotonic_ns(), receipt
        sent.acknowledged_at = sent.acknowledged_at or time.time()

    def saw(self, reader: str, log: str, event: Event) -> None:
        """An auditor who follows a log was given this event."""
        after = self.reached.get(log, 0)
        self.reads.append(Read(reader, time.monotonic_ns(), log, after, ((event.position, event.event_id),)))
        self.reached[log] = event.position

    def close_reads(self) -> None:
        """Auditors go on reading while a log is looked at. What they have read by now is in it; what they read later may not be."""
        self.reads_counted = len(self.reads)

    def history(self, ingestion: Sequence[StoredEvent]) -> History:
        """All of it as records of the checker. A receipt names its place by tenant sequence; the log says which position that is."""
        places = {event.tenant_sequence: event for event in ingestion if event.tenant == TENANT}
        history = History()
        history.records.extend(self.reads[: self.reads_counted])
        for sent in self.sent:
            for attempt in sent.attempts:
                history.records.extend(_records(sent, attempt, places))
        history.records.sort(key=lambda record: record.at)
        return history


def _records(sent: Sent, attempt: Attempt, places: Mapping[int, StoredEvent]) -> Iterator[Invoked | Ended]:
    yield Invoked(attempt.operation, attempt.begun_at, "ingestion", TENANT, "", (sent.event_id,), None)
    receipt = attempt.receipt
    if receipt is None:
        return
    place = places.get(receipt.tenant_sequence)
    outcome = "duplicate" if receipt.duplicate else "stored"
    yield Ended(attempt.operation, attempt.ended_at, outcome, place.position if place else 0, place.version if place else 0)
