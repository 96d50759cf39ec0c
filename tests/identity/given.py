"""One invented patient, the document that is hers, and the submissions that carry it; each test changes what it attacks."""

from typing import Any

import msgspec

from relais.contracts.deployment import Deployment
from relais.contracts.header import Code, HeaderExtract, Identifier, PersonName
from relais.contracts.submission import BodyReference, DeclaredIdentity, Flags, InsStatus, Opposition, SealedContent, Submission
from relais.identity.domain.document import DOCUMENT, Command, DocumentState, Verify
from relais.identity.domain.examination import NOT_ASKED, Examination, InsiAnswer, Rules, examine
from relais.identity.domain.ins import INS_NIR, INS_NIR_TEST, key_of
from relais.identity.domain.links import FREE, Link

BODY = "2790351215189"
INS = BODY + key_of(BODY)
OTHER_INS = "2770763220829" + key_of("2770763220829")
TEST_RULES = Rules(Deployment.TEST)
PRODUCTION_RULES = Rules(Deployment.PRODUCTION)

IDENTITY = DeclaredIdentity(
    ins=INS,
    ins_oid=INS_NIR,
    ins_status=InsStatus.QUALIFIEE,
    birth_family_name="PAT-TROIS",
    first_birth_given_name="DOMINIQUE",
    given_names="DOMINIQUE MARIE-LOUISE",
    sex="F",
    birth_date="19790328",
    birth_place="63220",
    local_id="1234567890121",
    local_id_authority="1.2.3.4.567.8.9.10",
)
HEADER = HeaderExtract(
    id=Identifier(root="1.2.250.1.999.1"),
    type=Code(code="11502-2"),
    effective_time="20240104160527+0100",
    confidentiality=Code(code="N"),
    patient_ids=(Identifier(root=INS_NIR, extension=INS), Identifier(root="1.2.3.4.567.8.9.10", extension="1234567890121")),
    patient_families=(PersonName(value="PAT-TROIS", qualifier="BR"), PersonName(value="DUPONT", qualifier="CL")),
    patient_givens=(PersonName(value="DOMINIQUE MARIE-LOUISE"), PersonName(value="DOMINIQUE", qualifier="BR")),
    patient_sex="F",
    patient_birth_time="19790328",
)
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


def content(identity: dict[str, Any] | None = None, header: dict[str, Any] | None = None) -> SealedContent:
    """The sealed content with these fields of the identity or the header replaced."""
    return SealedContent(
        identity=msgspec.structs.replace(IDENTITY, **(identity or {})), header=msgspec.structs.replace(HEADER, **(header or {}))
    )


def with_ins(matricule: str, oid: str = INS_NIR, status: InsStatus = InsStatus.QUALIFIEE) -> SealedContent:
    """Declared and carried: the same INS on both sides."""
    return content({"ins": matricule, "ins_oid": oid, "ins_status": status}, {"patient_ids": (Identifier(root=oid, extension=matricule),)})


def without_ins(status: InsStatus = InsStatus.VALIDEE) -> SealedContent:
    """Neither side carries an INS; the local id is what both name."""
    return content({"ins": "", "ins_oid": "", "ins_status": status}, {"patient_ids": HEADER.patient_ids[1:]})


def examined(
    sealed: SealedContent,
    *,
    link: Link = FREE,
    mark: bytes = b"",
    insi: InsiAnswer = NOT_ASKED,
    rules: Rules = TEST_RULES,
) -> Examination:
    return examine(sealed, link, mark, insi, rules)


def submission(request: str = "r1", sealed: bytes = b"", document: str = "d", subject: str = "") -> Submission:
    return Submission(
        document=document,
        request=request,
        site="site-a",
        sender="his",
        subject=subject or "00000000-0000-0000-0000-000000000001",
        type_code="11502-2",
        flags=FLAGS,
        opposition=Opposition.NO,
        recipients_count=0,
        received_at="2026-01-01T00:00:00+00:00",
        body=BodyReference(blob="b", size=1, chunks=1, ciphertext_sha256=b""),
        sealed=sealed,
    )


def verify(sealed: SealedContent, request: str = "r1", **known: Any) -> Verify:
    return Verify(submission(request), examined(sealed, **known), known.get("insi", NOT_ASKED))


def after(*commands: Command, state: DocumentState = DOCUMENT.initial) -> DocumentState:
    for command in commands:
        state = DOCUMENT.fold(DOCUMENT.decide(command, state), state)
    return state


__all__ = [
    "BODY", "FLAGS", "HEADER", "IDENTITY", "INS", "INS_NIR", "INS_NIR_TEST", "OTHER_INS", "PRODUCTION_RULES", "TEST_RULES",
    "after", "content", "examined", "submission", "verify", "with_ins", "without_ins",
]  # fmt: skip
