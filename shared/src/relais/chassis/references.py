"""Every log line that Relais can write: a word, its level, and the sentence that explains it. And every field a line may hold.

A line that is not in this table cannot be written, so nobody ever improvises a sentence with a patient's name in it. The word
is stable: alerts and runbooks name it.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Reference:
    """One kind of line."""

    level: str
    sentence: str


class FieldKind(Enum):
    """What a field may hold. A value of another form is replaced by a mark, because it may have come from a document or a caller."""

    NUMBER = "number"
    WORD = "word"
    PHRASE = "phrase"


FIELDS: dict[str, FieldKind] = {
    "address": FieldKind.WORD,
    "attempt": FieldKind.NUMBER,
    "code": FieldKind.WORD,
    "connector": FieldKind.WORD,
    "consumer": FieldKind.WORD,
    "count": FieldKind.NUMBER,
    "deployment": FieldKind.WORD,
    "document": FieldKind.WORD,
    "endpoint": FieldKind.WORD,
    "epoch": FieldKind.NUMBER,
    "error": FieldKind.WORD,
    "error_at": FieldKind.PHRASE,
    "field": FieldKind.WORD,
    "library": FieldKind.WORD,
    "log": FieldKind.WORD,
    "method": FieldKind.WORD,
    "needed": FieldKind.PHRASE,
    "ordinal": FieldKind.NUMBER,
    "partition": FieldKind.NUMBER,
    "partitions": FieldKind.NUMBER,
    "position": FieldKind.NUMBER,
    "reason": FieldKind.WORD,
    "remedy": FieldKind.PHRASE,
    "seconds": FieldKind.NUMBER,
    "signal": FieldKind.WORD,
    "stream": FieldKind.WORD,
    "tag": FieldKind.WORD,
    "task": FieldKind.WORD,
    "tenant": FieldKind.WORD,
    "variable": FieldKind.WORD,
    "version": FieldKind.WORD,
}

REFERENCES: dict[str, Reference] = {
    # The run.
    "service_starting": Reference("info", "The process read its configuration and starts."),
    "service_ready": Reference("info", "Every part is up: the process takes work."),
    "service_draining": Reference("info", "The process was asked to stop: it finishes what it has and takes nothing new."),
    "service_stopped": Reference("info", "The process stopped in good order."),
    "configuration_refused": Reference("error", "An environment variable is missing or invalid."),
    "start_refused": Reference("error", "Something that the process needs is not there or cannot be used."),
    "task_died": Reference("error", "A part of the process broke; the process stops so that a fresh one takes over."),
    "drain_incomplete": Reference("warning", "The time for finishing was over before the work was."),
    "close_failed": Reference("warning", "A part did not close in good order."),
    "migration_done": Reference("info", "The database has the schema of this version."),
    "exception_unhandled": Reference("error", "An exception reached nobody who handles it."),
    "library_said": Reference("warning", "A library wrote a line of its own; its words are left out, since they may quote data."),
    "logging_misused": Reference("error", "A log line was refused because its reference or a field is not in the table."),
    # Access and the gRPC edge.
    "call_failed": Reference("error", "A call ended in a defect of ours."),
    "denials_not_recorded": Reference("warning", "Denials of access could not be written to the log yet; they are kept and written later."),
    "denials_overflowed": Reference("warning", "There were more kinds of denials than are kept apart; the rest are counted together."),
    "registry_read": Reference("info", "The registry was read to its present end: callers can be recognised."),
    "registry_unreadable": Reference("warning", "The registry cannot be followed at this moment; what was read before stays in force."),
    "registry_fact_unknown": Reference("warning", "The registry holds a fact that this version does not know; it changes nothing here."),
    # The event log.
    "log_fork_detected": Reference("error", "Two events claim one position: the log was rewritten. A person must look."),
    "append_outcome_unknown": Reference("warning", "The answer to a commit was lost; it is read back before anything is retried."),
    "database_lost": Reference("warning", "The database cannot be reached; the work waits."),
    "database_restored": Reference("info", "The database answers again."),
    # The bus.
    "bus_connection_lost": Reference("warning", "The connection to the bus is gone; it is tried again."),
    "bus_connection_restored": Reference("info", "The connection to the bus is back."),
    "bus_connection_error": Reference("warning", "The bus cannot be reached or refused the connection."),
    "bus_foreign_message": Reference("error", "A message on the bus is not one of ours; it is passed over."),
    "bus_unsubscribe_failed": Reference("debug", "A subscription could not be given up; the server forgets it by itself."),
    "bus_consumer_left_behind": Reference("debug", "A consumer could not be deleted; the server forgets it by itself."),
    "bus_monitor_unreachable": Reference("warning", "The server's monitoring port cannot be read, so its settings are unknown."),
    "bus_sync_interval_unknown": Reference("warning", "Whether the server syncs before it acknowledges is unknown."),
    "bus_sync_interval_not_always": Reference("error", "The server acknowledges before it syncs: a power failure loses announcements."),
    "bell_not_rung": Reference("debug", "The bell could not be rung; readers poll anyway."),
    "relay_leading": Reference("info", "This replica announces the log's facts."),
    "relay_yielded": Reference("info", "Another replica announces the log's facts now."),
    "relay_fenced": Reference("warning", "A relay that had lost its lease was stopped by the fence."),
    "relay_waiting": Reference("warning", "The relay cannot go on at this moment; it tries again."),
    "publish_unknown": Reference("warning", "No answer came to an announcement; the stream is read before anything is repeated."),
    "stream_missing": Reference("warning", "The stream is gone; it is made again from the log."),
    "stream_rebuilt": Reference("warning", "The stream held nothing; it is filled again from the log."),
    "stream_not_whole": Reference("warning", "The stream lost messages without a word; it is emptied and filled again from the log."),
    # Consumers and leases.
    "partitions_held": Reference("info", "This replica reads these partitions."),
    "consumer_waiting": Reference("warning", "A consumer cannot go on at this moment; it tries again from its checkpoints."),
    "lease_lost": Reference("warning", "A lease went to another replica; its work stops here."),
    "consumer_conflict": Reference("debug", "Another writer was first on a stream; the batch is decided again."),
    "hole_found": Reference("warning", "A partition's facts do not join up; republication was asked for."),
    "fact_parked": Reference("error", "A fact could not be handled; its document waits for a person, the others go on."),
    # Delivery.
    "endpoint_broken": Reference("warning", "An endpoint failed too often and is not called for a while."),
    "endpoint_mended": Reference("info", "An endpoint answers again."),
    "delivery_abandoned": Reference("warning", "A delivery ended without success."),
    "outcome_conflict": Reference("error", "A partner's answer contradicts what is recorded."),
    # The vault.
    "vault_swept": Reference("info", "Staged bodies that no fact names were removed."),
    "key_unusable": Reference("error", "A key cannot be unwrapped with the master keys of this process."),
}
