"""Submissions for the tests of the client."""

from uuid import uuid4

from relais.client.document_records import Submission
from relais.contracts.submission import DeclaredIdentity, Flags, InsStatus, Opposition, Professional, Recipient, RecipientKind

BODY = b"<ClinicalDocument/>"
CANARY = "Canari"
FLAGS = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=True,
    destmssanteps=True,
    destmssantepat=False,
    ack_reception=True,
    ack_lecture_mss=False,
)


def submission(site: str = "site-a", request_id: str = "") -> Submission:
    return Submission(
        request_id=request_id or str(uuid4()),
        site=site,
        patient=DeclaredIdentity(
            ins="275127400123456",
            ins_oid="1.2.250.1.213.1.4.10",
            ins_status=InsStatus.QUALIFIEE,
            birth_family_name=CANARY,
            sex="F",
            birth_date="19751210",
        ),
        flags=FLAGS,
        opposition=Opposition.NO,
        professional=Professional(identifier="810000000001", family_name="Martin"),
        recipients=(Recipient(kind=RecipientKind.PROFESSIONAL, address="doc@x.mssante.fr"),),
    )
