"""What a sender hands in, as every service after ingestion sees it: a clear part and a sealed part.

Clear are identifiers, flags, the type code, times, sizes and the hash of the ciphertext: what a decision must still be
explained from after an erasure. Sealed (AES-256-GCM under the document's key) is everything about a person.
"""

from enum import StrEnum

import msgspec

from relais.contracts.header import HeaderExtract, Identifier


class InsStatus(StrEnum):
    """The RNIV status of an identity as the establishment declares it; only `QUALIFIEE` may travel with an INS."""

    PROVISOIRE = "PROVISOIRE"
    RECUPEREE = "RECUPEREE"
    VALIDEE = "VALIDEE"
    QUALIFIEE = "QUALIFIEE"
    DOUTEUSE = "DOUTEUSE"
    FICTIVE = "FICTIVE"


class Opposition(StrEnum):
    """Opposition to DMP feeding (SAFETY 13): YES blocks feeds and replacements, nothing else."""

    UNKNOWN = "UNKNOWN"
    NO = "NO"
    YES = "YES"


class RecipientKind(StrEnum):
    """Who a recipient is, as the sender names it; a patient-domain address is a patient route whatever this says."""

    PROFESSIONAL = "PROFESSIONAL"
    ORGANISATION = "ORGANISATION"
    APPLICATIVE = "APPLICATIVE"
    SOFTWARE = "SOFTWARE"
    PATIENT = "PATIENT"


class Flags(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The flags of the volet *Transmission de document(s) CDA en HL7v2* 2.1, all decided: unspecified is refused at the door."""

    masque_ps: bool
    invisible_patient: bool
    invisible_rep_legaux: bool
    connexion_secrete: bool
    modif_conf_code: bool
    destdmp: bool
    destmssanteps: bool
    destmssantepat: bool
    ack_reception: bool
    ack_lecture_mss: bool


class DeclaredIdentity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The patient as the sender knows them. Sealed. Dates are `YYYYMMDD` (shorter when partly known), sex is M, F or UN.

    `historical_ins` are matricules this person had before (INSHISTO): root OID and matricule, recognised and never rewritten.
    """

    ins: str = ""
    ins_oid: str = ""
    ins_status: InsStatus = InsStatus.PROVISOIRE
    birth_family_name: str = ""
    first_birth_given_name: str = ""
    given_names: str = ""
    sex: str = ""
    birth_date: str = ""
    birth_place: str = ""
    local_id: str = ""
    local_id_authority: str = ""
    historical_ins: tuple[Identifier, ...] = ()


class Professional(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who sends, in the sense of PRT `SB`: PS_IdNat (root 1.2.250.1.71.4.2.1) and names. Sealed."""

    identifier: str = ""
    family_name: str = ""
    given_name: str = ""
    organisation: str = ""


class Recipient(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One named recipient. Sealed. `fallback_address` is another address of the same recipient (SAFETY 16)."""

    kind: RecipientKind
    address: str
    identifier: str = ""
    name: str = ""
    fallback_address: str = ""


class SealedContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The sealed part of a submission, opened only with the subject's key (`relais.vault`). Encoded as msgpack before sealing."""

    header: HeaderExtract
    identity: DeclaredIdentity
    recipients: tuple[Recipient, ...] = ()
    professional: Professional = msgspec.field(default_factory=Professional)
    document_sha256: bytes = b""
    title: str = ""


class BodyReference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the sealed body is: `chunks` rows of the vault under `blob` (a UUID), `size` bytes as sent, hash of the ciphertext.

    `deflated` says that each chunk was deflated by itself (RFC 1950) before it was sealed.
    """

    blob: str
    size: int
    chunks: int
    ciphertext_sha256: bytes
    deflated: bool = False


class Submission(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to carry one document, as every service sees it.

    `document` (UUID) is the HMAC of the CDA id under the tenant's key, `request` the sender's request_id, `subject` (UUID)
    the pseudonym that owns the key, `sealed` an AES-256-GCM ciphertext of `SealedContent`.
    """

    document: str
    request: str
    site: str
    sender: str
    subject: str
    type_code: str
    flags: Flags
    opposition: Opposition
    recipients_count: int
    received_at: str
    body: BodyReference
    sealed: bytes
