"""The 51 KB documents of a bench, written once: a fresh document costs a join of a few byte strings, not a generation.

A template is a whole `SubmitDocumentsRequest` cut where the request's id, the document's id and the id of its set stand. All three have a
fixed width, so that every length in the message stays true. The correlation comes last, for protobuf takes fields in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from relais.api.ingestion.v1 import ingestion_pb2
from relais.client.document_messages import submit_message
from relais.client.document_records import Submission
from relais.contracts.submission import Flags, Opposition, Recipient, RecipientKind
from relais.sandbox.cda import BENCH_BYTES, Kind, SyntheticDocument, generate

TENANT: Final = "bench"
SITE: Final = "site-bench"

# Each destination by the types it gets: the site's policy says the same, and the audit of a run looks whether it was so.
DESTINATIONS: Final = {
    "laboratory": ("11502-2", "18748-4"),
    "ward": ("11490-0", "34112-3"),
    "office": ("57833-6", "11488-4"),
}
TYPE_CODES: Final = tuple(code for codes in DESTINATIONS.values() for code in codes)

TEMPLATES: Final = 1000
REQUEST_ID_CHARACTERS: Final = 36
OID_DIGITS: Final = 38

# A software named as recipient is one destination, and without any other wish the only one.
ONE_DESTINATION: Final = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=False,
    destmssanteps=False,
    destmssantepat=False,
    ack_reception=False,
    ack_lecture_mss=False,
)

_REQUEST_ID: Final = b"\x01" * REQUEST_ID_CHARACTERS
_CORRELATION_TAG: Final = b"\x08"
_MORE_TAG: Final = b"\x22"
CORRELATION_BYTES: Final = 6


def request_id(run: int, number: int) -> str:
    """The id of one request, a UUID in its usual form."""
    return f"{run:08x}-0000-8000-8000-{number:012x}"


def oid(run: int, number: int, purpose: int) -> bytes:
    """The digits below 2.25 that name one document (purpose 1) or its set (purpose 2), of OID_DIGITS digits."""
    return b"1%d%011d%025d" % (purpose, run, number)


def correlation_field(number: int) -> bytes:
    """The correlation in six bytes whatever the number, so that an echo finds it at the end of a message."""
    return _CORRELATION_TAG + bytes((number >> shift & 0x7F) | (0x80 if shift < 28 else 0) for shift in (0, 7, 14, 21, 28))


@dataclass(frozen=True, slots=True)
class Template:
    """One message in four pieces, between which request id, document id and set id go."""

    pieces: tuple[bytes, bytes, bytes, bytes] = field(repr=False)
    type_code: str

    def message(self, run: int, number: int) -> bytes:
        """A document that nobody has ever sent: a new id in its bytes, in a set of its own, under a new request."""
        head, between, middle, tail = self.pieces
        return b"".join(
            (
                head,
                request_id(run, number).encode(),
                between,
                oid(run, number, 1),
                middle,
                oid(run, number, 2),
                tail,
                correlation_field(number),
            )
        )


def together(messages: Sequence[bytes]) -> bytes:
    """One message of several: the others stand in `more` of the first, before it, so that its correlation is still the last field."""
    first, *others = messages
    return b"".join([part for other in others for part in (_MORE_TAG, _varint(len(other)), other)] + [first])


def apart(message: bytes) -> list[bytes]:
    """The correlation fields of what `together` made, in its order, found without looking into the documents."""
    found, at = [], 0
    while message.startswith(_MORE_TAG, at):
        length, shift, at = 0, 0, at + 1
        while True:
            length |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 0x80:
                break
        at += length
        found.append(message[at - CORRELATION_BYTES : at])
    return [message[-CORRELATION_BYTES:], *found]


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def templates(count: int = TEMPLATES, size_bytes: int = BENCH_BYTES) -> list[Template]:
    """`count` documents of as many invented patients: every second a PDF (N1), the types in turn."""
    return [_template(number, size_bytes) for number in range(count)]


def sample(number: int, size_bytes: int = BENCH_BYTES) -> tuple[Submission, bytes]:
    """One document with its submission, as a client would hand it in: to find out whether the sender is known yet."""
    document = _document(number, size_bytes)
    return _submission(document, request_id(0, number)), document.body


def type_code_of(number: int) -> str:
    """The type of the document made from template `number`."""
    return TYPE_CODES[number % len(TYPE_CODES)]


def destination_of(type_code: str) -> str:
    """The one destination that documents of a type go to."""
    return next(name for name, codes in DESTINATIONS.items() if type_code in codes)


def _document(number: int, size_bytes: int) -> SyntheticDocument:
    return generate(number, kind=Kind.N1 if number % 2 else Kind.N3, size_bytes=size_bytes, type_code=type_code_of(number))


def _submission(document: SyntheticDocument, request: str) -> Submission:
    return Submission(
        request_id=request,
        site=SITE,
        patient=document.identity,
        flags=ONE_DESTINATION,
        opposition=Opposition.NO,
        professional=document.professional,
        recipients=(Recipient(kind=RecipientKind.SOFTWARE, address=destination_of(document.type.code)),),
    )


def _template(number: int, size_bytes: int) -> Template:
    document = _document(number, size_bytes)
    body = document.body
    for root, width in ((document.identifier.root, 1), (document.set_id.root, 2)):
        body = _put(body, root.partition("2.25.")[2].encode(), bytes([width]) * OID_DIGITS)
    request = submit_message(f"tenants/{TENANT}", _submission(document, _REQUEST_ID.decode()), body)
    # The hash of bytes that are still to come is not known; it is optional, and the platform hashes what arrives in any case.
    request.submission.ClearField("sha256")
    whole = ingestion_pb2.SubmitDocumentsRequest(answers_together=True, request=request).SerializeToString()
    return Template(_cut(whole, (_REQUEST_ID, b"\x01" * OID_DIGITS, b"\x02" * OID_DIGITS)), document.type.code)


def _put(body: bytes, digits: bytes, place: bytes) -> bytes:
    if body.count(digits) != 1:
        raise ValueError("the id of a generated document stands in it exactly once")
    return body.replace(digits, place)


def _cut(whole: bytes, places: Sequence[bytes]) -> tuple[bytes, bytes, bytes, bytes]:
    pieces: list[bytes] = []
    # In this order: the submission is written before the document, and a document's id stands before its set's.
    for place in places:
        before, found, whole = whole.partition(place)
        if not found:
            raise ValueError("a place to fill in is missing")
        pieces.append(before)
    head, between, middle = pieces
    return head, between, middle, whole
