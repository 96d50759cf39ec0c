"""Calls as the published connector suite asks for them, whatever connector carries them."""

import hashlib
from collections.abc import AsyncIterator

from relais.contracts.header import Code, HeaderExtract, Identifier, PersonName
from relais.contracts.submission import DeclaredIdentity, Recipient, RecipientKind, SealedContent
from relais.delivery.domain.answers import Accepted, Refused, Retry, Succeeded, Unknown
from relais.delivery.ports import BodyUnreadable, Call, Connector, DeliveryId
from relais.testing.connector_suite import Parcel, Said, Verdict
from tests.delivery.given import TENANT, destination, document_id

_VERDICTS = {
    Succeeded: Verdict.SUCCEEDED,
    Accepted: Verdict.ACCEPTED,
    Retry: Verdict.RETRY,
    Refused: Verdict.REFUSED,
    Unknown: Verdict.UNKNOWN,
}


def content_of(document: bytes, address: str = "dr@medecin.mssante.example", patient: str = "MARTIN") -> SealedContent:
    header = HeaderExtract(
        id=Identifier(root="1.2.3"),
        type=Code(code="11490-0"),
        title=f"Letter about {patient}",
        patient_families=(PersonName(value=patient),),
    )
    return SealedContent(
        header=header,
        identity=DeclaredIdentity(birth_family_name=patient, first_birth_given_name="AMANDINE"),
        recipients=(Recipient(kind=RecipientKind.PROFESSIONAL, address=address, identifier="810000000001"),),
        document_sha256=hashlib.sha256(document).digest(),
    )


class Parts:
    """A large body that is in memory after all."""

    def __init__(self, document: bytes) -> None:
        self._document = document
        self.size = len(document)

    async def parts(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._document), 200_000):
            yield self._document[start : start + 200_000]


def call_of(parcel: Parcel) -> Call:
    document = parcel.document[:-1] + b"?" if parcel.corrupted else parcel.document
    name = document_id(parcel.name)
    return Call(
        delivery=DeliveryId(TENANT, name, 1),
        attempt=parcel.attempt,
        idempotency_key=f"{name}-1",
        possible_repeat=parcel.attempt > 1,
        destination=destination(),
        received_at="2026-11-23T12:00:00.000Z",
        timeout_seconds=parcel.timeout_seconds,
        content=content_of(parcel.document, parcel.address, parcel.patient),
        body=Parts(document) if parcel.in_parts else document,
    )


async def said_by(connector: Connector, parcel: Parcel) -> Said:
    try:
        answer = await connector.deliver(call_of(parcel))
    except BodyUnreadable:
        return Said(None, raised=True)
    repeat = answer.repeat if isinstance(answer, Succeeded) else False
    code = answer.code if isinstance(answer, (Retry, Refused, Unknown)) else ""
    return Said(_VERDICTS[type(answer)], repeat, code)
