"""What the tests of delivery start from: plans, submissions, and a few words for histories."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from relais.contracts.delivery import DeliveryScheduled
from relais.contracts.routing import DestinationKind, PlannedDestination, RoutePlanned
from relais.contracts.submission import BodyReference, Flags, InsStatus, Opposition, Submission
from relais.delivery.domain.retrying import written

TENANT = "chu"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SUBJECT = UUID("5a5a5a5a-0000-4000-8000-000000000001")
_NAMES = UUID("11111111-2222-4333-8444-555555555555")
FLAGS = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=True,
    destmssanteps=True,
    destmssantepat=True,
    ack_reception=True,
    ack_lecture_mss=True,
)


def document_id(name: str) -> str:
    return str(uuid5(_NAMES, name))


def blob_id(name: str) -> UUID:
    return uuid5(_NAMES, f"blob {name}")


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def submission(name: str = "letter", request: str = "r1", *, size: int = 3, sealed: bytes = b"") -> Submission:
    return Submission(
        document=document_id(name),
        request=request,
        site="nord",
        sender="his",
        subject=str(SUBJECT),
        type_code="11490-0",
        flags=FLAGS,
        opposition=Opposition.NO,
        recipients_count=1,
        received_at=written(NOON),
        body=BodyReference(blob=str(blob_id(name)), size=size, chunks=1, ciphertext_sha256=b"h" * 32),
        sealed=sealed,
    )


def destination(ordinal: int = 1, endpoint: str = "lab", kind: DestinationKind = DestinationKind.SOFTWARE) -> PlannedDestination:
    return PlannedDestination(
        ordinal=ordinal, kind=kind, connector="https", endpoint=endpoint, key=b"k" * 32, rule="software.named", recipient=0
    )


def plan(of: Submission, *destinations: PlannedDestination) -> RoutePlanned:
    return RoutePlanned(
        submission=of,
        ins_status=InsStatus.QUALIFIEE,
        destinations=destinations or (destination(),),
        policy="tenant",
        policy_version=1,
        matrix="2026-04-21",
    )


def scheduled(name: str = "letter", *, at: datetime = NOON, endpoint: str = "lab") -> DeliveryScheduled:
    return DeliveryScheduled(
        submission=submission(name),
        ins_status=InsStatus.QUALIFIEE,
        destination=destination(endpoint=endpoint),
        due_at=written(at),
    )
