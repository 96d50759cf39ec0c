"""What a sender says beside a document's bytes, complete and harmless unless a test changes it."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from relais.client.document_records import Submission
from relais.contracts.submission import Opposition, Professional, Recipient, RecipientKind
from relais.demo.cast import EVERYWHERE
from relais.sandbox.cda import SyntheticDocument

DOCTOR = Recipient(kind=RecipientKind.PROFESSIONAL, address="cabinet@essai.mssante.fr")


def submission_of(document: SyntheticDocument, **changes: Any) -> Submission:
    """To the DMP, one professional and the patient, under a request_id of its own; `changes` replace fields."""
    whole = Submission(
        request_id=str(uuid4()),
        site="site-a",
        patient=document.identity,
        flags=EVERYWHERE,
        opposition=Opposition.NO,
        professional=Professional(identifier=document.professional.identifier),
        recipients=(DOCTOR,),
    )
    return replace(whole, **changes)
