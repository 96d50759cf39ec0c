"""Every metric of Relais. Dashboards and alerts are written against this table; a name in it is not changed lightly."""

from dataclasses import dataclass
from enum import Enum

CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
JOURNEY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Kind(Enum):
    """How a metric counts."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name with the unit last, what it means, its labels, and for a histogram its buckets."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = CALL_SECONDS


METRICS: tuple[Metric, ...] = (
    # The process.
    Metric("relais_build_info", Kind.GAUGE, "Always 1; the labels say what runs.", ("service", "version")),
    Metric("relais_ready", Kind.GAUGE, "1 when the process takes work."),
    Metric("relais_certificate_expiry_seconds", Kind.GAUGE, "When the server's certificate ends, seconds since 1970."),
    # The gRPC edge.
    Metric("relais_rpc_server_calls_total", Kind.COUNTER, "Calls answered.", ("method", "code")),
    Metric("relais_rpc_server_call_duration_seconds", Kind.HISTOGRAM, "Time of unary calls.", ("method",)),
    Metric("relais_rpc_server_streams_open", Kind.GAUGE, "Streams under way.", ("method",)),
    Metric("relais_access_denied_total", Kind.COUNTER, "Calls refused for access, by reason.", ("reason",)),
    Metric("relais_access_denials_unrecorded", Kind.GAUGE, "Denials that wait to be written to the log."),
    # Intake.
    Metric("relais_submissions_total", Kind.COUNTER, "Submissions answered: new, again, repeat, refused, failed.", ("result",)),
    Metric("relais_intake_duration_seconds", Kind.HISTOGRAM, "From the last byte of a submission to its receipt."),
    Metric("relais_intake_queue_documents", Kind.GAUGE, "Submissions that wait to be taken in."),
    Metric("relais_intake_queue_bytes", Kind.GAUGE, "Bytes of the submissions that wait to be taken in."),
    # Log, relay, bus.
    Metric("relais_append_batch_events", Kind.HISTOGRAM, "Events in one append.", ("log",), BATCH_SIZES),
    Metric("relais_append_duration_seconds", Kind.HISTOGRAM, "Time of one append call.", ("log",)),
    Metric("relais_outbox_events", Kind.GAUGE, "Facts stored and not announced yet.", ("log",)),
    Metric("relais_outbox_oldest_seconds", Kind.GAUGE, "Age of the oldest fact not announced yet.", ("log",)),
    Metric("relais_relay_announced_total", Kind.COUNTER, "Facts announced.", ("log",)),
    Metric("relais_relay_batch_events", Kind.HISTOGRAM, "Facts in one announcement.", ("log",), BATCH_SIZES),
    Metric("relais_consumer_handled_total", Kind.COUNTER, "Facts handled.", ("consumer",)),
    Metric("relais_consumer_batch_events", Kind.HISTOGRAM, "Facts in one batch.", ("consumer",), BATCH_SIZES),
    Metric("relais_consumer_batch_duration_seconds", Kind.HISTOGRAM, "Time of one batch, commit included.", ("consumer",)),
    Metric("relais_consumer_lag", Kind.GAUGE, "Facts announced and not handled yet.", ("consumer",)),
    Metric("relais_consumer_oldest_seconds", Kind.GAUGE, "Age of the fact handled last, when it was handled.", ("consumer",)),
    Metric("relais_partitions_held", Kind.GAUGE, "Partitions that this replica reads.", ("consumer",)),
    Metric("relais_leases_lost_total", Kind.COUNTER, "Leases that went to another replica."),
    Metric("relais_parked_total", Kind.COUNTER, "Facts parked for a person.", ("consumer", "reason")),
    Metric("relais_reconcile_holes_total", Kind.COUNTER, "Holes found in what was announced.", ("log",)),
    # Identity and routing.
    Metric("relais_identity_checks_total", Kind.COUNTER, "Identities checked: verified, held, released, rejected.", ("result",)),
    Metric("relais_routes_total", Kind.COUNTER, "Destinations decided: planned, suppressed, held.", ("result",)),
    Metric("relais_held_documents", Kind.GAUGE, "Documents that wait for a person.", ("service",)),
    # Delivery.
    Metric("relais_deliveries_total", Kind.COUNTER, "Deliveries that reached an outcome.", ("connector", "outcome")),
    Metric("relais_delivery_attempts_total", Kind.COUNTER, "Attempts by what came of them.", ("connector", "result")),
    Metric("relais_delivery_call_duration_seconds", Kind.HISTOGRAM, "Time of one call to a partner.", ("connector",)),
    Metric("relais_delivery_waiting", Kind.GAUGE, "Deliveries that wait for an attempt.", ("connector",)),
    Metric("relais_oldest_pending_seconds", Kind.GAUGE, "Age of the oldest delivery without an outcome.", ("connector",)),
    Metric("relais_end_to_end_seconds", Kind.HISTOGRAM, "From receipt to success.", ("connector",), JOURNEY_SECONDS),
    Metric("relais_endpoint_broken", Kind.GAUGE, "Endpoints that are not called because they failed too often.", ("connector",)),
    # The vault.
    Metric("relais_vault_keys_cached", Kind.GAUGE, "Subject keys held in memory."),
    Metric("relais_vault_key_reads_total", Kind.COUNTER, "Subject keys read from the database, and found in memory.", ("source",)),
)
