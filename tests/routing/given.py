"""One invented patient, her document, the recipients it is meant for, and a policy that has an endpoint for everything."""

from datetime import date
from typing import Any

import msgspec

from relais.contracts.deployment import Deployment
from relais.contracts.fact import Fact
from relais.contracts.header import Code, HeaderExtract, Identifier
from relais.contracts.routing import (
    DestinationKind,
    DocumentHeld,
    EndpointChoice,
    PlannedDestination,
    Policy,
    RoutePlanned,
    RouteSuppressed,
    SuppressedDestination,
)
from relais.contracts.submission import (
    BodyReference,
    DeclaredIdentity,
    Flags,
    InsStatus,
    Opposition,
    Recipient,
    RecipientKind,
    SealedContent,
    Submission,
)
from relais.routing.domain.case import Case, Judgement, Law
from relais.routing.domain.commands import Circumstances, Command, DocumentState, Route
from relais.routing.domain.document import DOCUMENT
from relais.routing.domain.judgement import judge
from relais.routing.domain.policy import CreatePolicy, EffectivePolicy, ScopeState, decide, effective, evolve
from relais.routing.law.tables import read_tables

INS = "279035121518989"
OTHER_INS = "277076322082910"
OID = "1.2.250.1.213.1.4.8"
TEST_OID = "1.2.250.1.213.1.4.10"
DAY = date(2026, 5, 1)
KEY = b"k" * 32
LAW = Law(read_tables(), Deployment.TEST)
PRODUCTION = Law(read_tables(), Deployment.PRODUCTION)

DOCTOR = Recipient(kind=RecipientKind.PROFESSIONAL, address="dr.martin@medecin.mssante.fr")
CLINIC = Recipient(kind=RecipientKind.ORGANISATION, address="secretariat@clinique.mssante.fr")
SOFTWARE = Recipient(kind=RecipientKind.SOFTWARE, address="ris-b")
PATIENT = Recipient(kind=RecipientKind.PATIENT, address=f"{INS}@patient.mssante.fr")
IMPOSTOR = Recipient(kind=RecipientKind.PROFESSIONAL, address=f"{OTHER_INS}@patient.mssante.fr")

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
    ack_lecture_mss=False,
)
ROW_2 = msgspec.structs.replace(FLAGS, invisible_patient=True, destmssantepat=False)
ROW_3 = msgspec.structs.replace(FLAGS, destdmp=False, destmssanteps=False)
DMP_ONLY = msgspec.structs.replace(FLAGS, destmssanteps=False, destmssantepat=False)
OUTSIDE = msgspec.structs.replace(FLAGS, destmssantepat=False)
HEADER = HeaderExtract(
    id=Identifier(root="1.2.250.1.999.1"),
    type=Code(code="11502-2"),
    effective_time="20240104160527+0100",
    confidentiality=Code(code="N"),
    patient_ids=(Identifier(root=OID, extension=INS),),
    patient_birth_time="19790328",
)
IDENTITY = DeclaredIdentity(ins=INS, ins_oid=OID, ins_status=InsStatus.QUALIFIEE, birth_date="19790328")
CHILD: dict[str, Any] = {"header": {"patient_birth_time": "20200101"}, "identity": {"birth_date": "20200101"}}
EVERYTHING = Policy(
    endpoints=tuple(EndpointChoice(kind=kind, connector="https", endpoint=f"sink-{kind.value}") for kind in DestinationKind)
)


def flags(base: Flags = FLAGS, **changes: bool) -> Flags:
    return msgspec.structs.replace(base, **changes)


def policy_of(*scopes: tuple[str, Policy]) -> EffectivePolicy | None:
    """The effective policy where each scope, narrowest first, has this policy active as version 1."""
    return effective([(scope, ScopeState({1: policy}, 1, 1, 2)) for scope, policy in scopes])


POLICY = policy_of(("tenant", EVERYTHING))
LENIENT = policy_of(("tenant", msgspec.structs.replace(EVERYTHING, matrix_mode="lenient")))


def created(scope: str, policy: Policy, state: ScopeState) -> ScopeState:
    for fact in decide(CreatePolicy(scope, policy), state):
        state = evolve(state, fact)
    return state


def case(**changes: Any) -> Case:
    """The common case: everything asked for, everything allowed. Fields of header and identity are given as dicts."""
    header = msgspec.structs.replace(HEADER, **changes.pop("header", {}))
    identity = msgspec.structs.replace(IDENTITY, **changes.pop("identity", {}))
    defaults: dict[str, Any] = {
        "flags": FLAGS,
        "opposition": Opposition.NO,
        "status": InsStatus.QUALIFIEE,
        "type_code": "11502-2",
        "recipients": (DOCTOR,),
        "day": DAY,
    }
    return Case(header=header, identity=identity, **{**defaults, **changes})


def judged(law: Law = LAW, policy: EffectivePolicy | None = POLICY, **changes: Any) -> Judgement:
    return judge(case(**changes), law, policy)


def verdicts(judgement: Judgement) -> dict[tuple[str, int | None], str]:
    """Each wish by kind and recipient: its reason, or `planned`."""
    return {(one.kind.value, one.recipient): str(one.suppressed or one.held or one.verdict.value) for one in judgement.wishes}


def submission(request: str = "r1", *, document: str = "d", subject: str = "", sealed: bytes = b"", **changes: Any) -> Submission:
    given: dict[str, Any] = {
        "document": document,
        "request": request,
        "site": "site-a",
        "sender": "his",
        "subject": subject or "00000000-0000-0000-0000-000000000001",
        "type_code": "11502-2",
        "flags": FLAGS,
        "opposition": Opposition.NO,
        "recipients_count": 1,
        "received_at": "2026-05-01T00:00:00+00:00",
        "body": BodyReference(blob="b", size=1, chunks=1, ciphertext_sha256=b""),
        "sealed": sealed,
    }
    return Submission(**{**given, **changes})


def circumstances(
    *recipients: Recipient, policy: EffectivePolicy | None = POLICY, day: date = DAY, law: Law = LAW, **content: Any
) -> Circumstances:
    sealed = SealedContent(
        header=msgspec.structs.replace(HEADER, **content.get("header", {})),
        identity=msgspec.structs.replace(IDENTITY, **content.get("identity", {})),
        recipients=recipients or (DOCTOR,),
    )
    return Circumstances(sealed, day, law, policy, KEY)


def route(request: str = "r1", *recipients: Recipient, status: InsStatus = InsStatus.QUALIFIEE, **changes: Any) -> Route:
    """Route one request; what concerns the circumstances is taken from the changes, the rest is the submission's."""
    around = {name: changes.pop(name) for name in ("policy", "day", "law", "header", "identity") if name in changes}
    return Route(submission(request, **changes), status, circumstances(*recipients, **around))


def after(*commands: Command, state: DocumentState = DOCUMENT.initial) -> DocumentState:
    for command in commands:
        state = DOCUMENT.fold(DOCUMENT.decide(command, state), state)
    return state


def planned(facts: Any) -> list[PlannedDestination]:
    return [one for fact in facts if isinstance(fact, RoutePlanned) for one in fact.destinations]


def suppressed(facts: Any) -> list[SuppressedDestination]:
    return [one for fact in facts if isinstance(fact, RouteSuppressed) for one in fact.suppressed]


def held(facts: Any) -> list[str]:
    return [reason.value for fact in facts if isinstance(fact, DocumentHeld) for reason in fact.reasons]


def kinds(facts: list[Fact] | Any) -> list[str]:
    return [one.kind.value for one in planned(facts)]


def decided(command: Command, state: DocumentState = DOCUMENT.initial) -> list[Fact]:
    return list(DOCUMENT.decide(command, state))
