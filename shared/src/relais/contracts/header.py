"""The extract of a CDA R2 header (CI-SIS *Structuration minimale* 1.16) that every later step works from: nobody parses a body twice."""

import msgspec


class Code(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A coded value: code, codeSystem OID, displayName."""

    code: str
    system: str = ""
    display: str = ""


class Identifier(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An HL7 II: root OID and extension; both as written, trimmed."""

    root: str = ""
    extension: str = ""

    def __str__(self) -> str:
        return f"{self.root}^{self.extension}" if self.extension else self.root


class PersonName(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One name part as written: `qualifier` is BR (birth), CL (used), SP … or empty."""

    value: str
    qualifier: str = ""


class Person(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A professional or device with the organisation they act for; every part optional, as in real documents."""

    identifier: Identifier = Identifier()
    family: str = ""
    given: str = ""
    prefix: str = ""
    suffix: str = ""
    device: str = ""
    specialty: Code | None = None
    organisation_id: Identifier = Identifier()
    organisation_name: str = ""
    organisation_industry: Code | None = None
    time: str = ""
    telecoms: tuple[str, ...] = ()


class ServiceEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """documentationOf/serviceEvent: its code, its period as written, its performer."""

    code: Code | None = None
    low: str = ""
    high: str = ""
    performer: Person | None = None


class HeaderExtract(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the header says, as written and trimmed; absent elements are empty, never guessed.

    `patient_ids` are the ids of recordTarget/patientRole and nothing else (SAFETY 2). Times are HL7 TS as written.
    `body_media_type` is empty for a structured (N3) body; `auto_presentable` says the root was `xsl:stylesheet`.
    """

    id: Identifier
    set_id: Identifier | None = None
    version_number: int | None = None
    type: Code
    title: str = ""
    effective_time: str = ""
    language: str = ""
    confidentiality: Code | None = None
    template_ids: tuple[Identifier, ...] = ()
    patient_ids: tuple[Identifier, ...] = ()
    patient_families: tuple[PersonName, ...] = ()
    patient_givens: tuple[PersonName, ...] = ()
    patient_prefixes: tuple[str, ...] = ()
    patient_sex: str = ""
    patient_birth_time: str = ""
    patient_birth_place: str = ""
    patient_telecoms: tuple[str, ...] = ()
    authors: tuple[Person, ...] = ()
    legal_authenticator: Person | None = None
    custodian_id: Identifier = Identifier()
    custodian_name: str = ""
    service_events: tuple[ServiceEvent, ...] = ()
    facility: Code | None = None
    encounter_code: Code | None = None
    replaces: tuple[Identifier, ...] = ()
    structured: bool = True
    body_media_type: str = ""
    auto_presentable: bool = False
