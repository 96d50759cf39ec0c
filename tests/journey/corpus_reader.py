"""Reads CDA documents as the sender's own system knows them, so that submissions can be made from the corpus.

It shares no code with the product, on purpose: it builds a whole tree with lxml and asks it by XPath, where the product
streams through expat and keeps paths. What both agree on, two readings of the header agree on.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lxml import etree

_NAMESPACES: Final = {"c": "urn:hl7-org:v3"}
_BLANKS: Final = " \t\r\n"
_INS_AUTHORITY: Final = re.compile(r"1\.2\.250\.1\.213\.1\.4\.(?:8|9|10|11)")


@dataclass(frozen=True, kw_only=True)
class ReadPerson:
    """A professional or device: PS_IdNat, names, organisation; empty where the header says nothing."""

    identifier: str
    family_name: str
    given_name: str
    organisation: str
    industry: str


@dataclass(frozen=True, kw_only=True)
class ReadDocument:
    """One document and the plain values of its header. Identifiers are (root, extension), coded values (code, codeSystem)."""

    file: str
    body: bytes
    identifier: tuple[str, str]
    set_identifier: tuple[str, str]
    version_number: str
    type_code: tuple[str, str]
    title: str
    written_at: str
    confidentiality: str
    templates: tuple[tuple[str, str], ...]
    patient_identifiers: tuple[tuple[str, str], ...]
    families: tuple[tuple[str, str], ...]
    givens: tuple[tuple[str, str], ...]
    ins: str
    ins_oid: str
    birth_family_name: str
    first_birth_given_name: str
    given_names: str
    sex: str
    birth_date: str
    birth_place: str
    local_id: str
    local_id_authority: str
    authors: tuple[ReadPerson, ...]
    author_identifiers: tuple[tuple[str, str], ...]
    custodian: tuple[str, str]
    custodian_name: str
    legal_authenticator: ReadPerson | None
    events: tuple[tuple[str, str, str], ...]
    practice: str
    facility: str
    replaces: tuple[tuple[str, str], ...]
    media_type: str
    structured: bool
    auto_presentable: bool

    @property
    def professional(self) -> ReadPerson:
        """Who sends: the first author."""
        return self.authors[0]


def read_corpus(folder: Path) -> list[ReadDocument]:
    """The 71 documents of the corpus's `cda` folder, by file name."""
    return [read_document(path) for path in sorted((folder / "cda").glob("*.xml"))]


def read_document(path: Path) -> ReadDocument:
    """One document of the corpus."""
    body = path.read_bytes()
    root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    auto_presentable = etree.QName(root).localname == "stylesheet"
    document = _nodes(root, "descendant-or-self::c:ClinicalDocument")[0]
    role = _nodes(document, "c:recordTarget/c:patientRole")[0]
    patient = _nodes(role, "c:patient")[0]
    identifiers = _identifiers(role, "c:id")
    ins = next((found for found in identifiers if _INS_AUTHORITY.fullmatch(found[0])), ("", ""))
    local = next((found for found in identifiers if not _INS_AUTHORITY.fullmatch(found[0])), ("", ""))
    families, givens = _name_parts(patient, "family"), _name_parts(patient, "given")
    authors = _nodes(document, "c:author")
    signers = _nodes(document, "c:legalAuthenticator")
    return ReadDocument(
        file=path.name,
        body=body,
        identifier=_first(_identifiers(document, "c:id")),
        set_identifier=_first(_identifiers(document, "c:setId")),
        version_number=_string(document, "c:versionNumber/@value"),
        type_code=(_string(document, "c:code/@code"), _string(document, "c:code/@codeSystem")),
        title=_string(document, "c:title"),
        written_at=_string(document, "c:effectiveTime/@value"),
        confidentiality=_string(document, "c:confidentialityCode/@code"),
        templates=_identifiers(document, "c:templateId"),
        patient_identifiers=identifiers,
        families=families,
        givens=givens,
        ins=ins[1],
        ins_oid=ins[0],
        birth_family_name=_of_birth(families),
        first_birth_given_name=_of_birth(givens),
        given_names=next((value for value, qualifier in givens if not qualifier), ""),
        sex=_string(patient, "c:administrativeGenderCode/@code"),
        birth_date=_string(patient, "c:birthTime/@value"),
        birth_place=_string(patient, "c:birthplace/c:place/c:addr/c:county"),
        local_id=local[1],
        local_id_authority=local[0],
        authors=tuple(_person(author, "c:assignedAuthor") for author in authors),
        author_identifiers=tuple(_first(_identifiers(author, "c:assignedAuthor/c:id")) for author in authors),
        custodian=_first(_identifiers(document, "c:custodian/c:assignedCustodian/c:representedCustodianOrganization/c:id")),
        custodian_name=_string(document, "c:custodian/c:assignedCustodian/c:representedCustodianOrganization/c:name"),
        legal_authenticator=_person(signers[0], "c:assignedEntity") if signers else None,
        events=_events(document),
        practice=_string(document, "c:documentationOf/c:serviceEvent/c:performer//c:standardIndustryClassCode/@code"),
        facility=_string(document, "c:componentOf/c:encompassingEncounter/c:location/c:healthCareFacility/c:code/@code"),
        replaces=_identifiers(document, "c:relatedDocument[@typeCode='RPLC']/c:parentDocument/c:id"),
        media_type=_string(document, "c:component/c:nonXMLBody/c:text/@mediaType"),
        structured=bool(_nodes(document, "c:component/c:structuredBody")),
        auto_presentable=auto_presentable,
    )


def _person(participation: Any, role: str) -> ReadPerson:
    return ReadPerson(
        identifier=_string(participation, f"{role}/c:id/@extension"),
        family_name=_string(participation, f"{role}/c:assignedPerson/c:name/c:family"),
        given_name=_string(participation, f"{role}/c:assignedPerson/c:name/c:given"),
        organisation=_string(participation, f"{role}/c:representedOrganization/c:id/@extension"),
        industry=_string(participation, f"{role}/c:representedOrganization/c:standardIndustryClassCode/@code"),
    )


def _events(document: Any) -> tuple[tuple[str, str, str], ...]:
    """Code, low and high of each service event."""
    return tuple(
        (_string(event, "c:code/@code"), _string(event, "c:effectiveTime/c:low/@value"), _string(event, "c:effectiveTime/c:high/@value"))
        for event in _nodes(document, "c:documentationOf/c:serviceEvent")
    )


def _of_birth(parts: tuple[tuple[str, str], ...]) -> str:
    """The part qualified BR; where the header qualifies none, its first one."""
    return next((value for value, qualifier in parts if qualifier == "BR"), parts[0][0] if parts else "")


def _name_parts(patient: Any, part: str) -> tuple[tuple[str, str], ...]:
    found = ((_string(node, "."), _string(node, "@qualifier")) for node in _nodes(patient, f"c:name/c:{part}"))
    return tuple((value, qualifier) for value, qualifier in found if value)


def _identifiers(node: Any, path: str) -> tuple[tuple[str, str], ...]:
    found = ((_string(element, "@root"), _string(element, "@extension")) for element in _nodes(node, path))
    return tuple(identifier for identifier in found if any(identifier))


def _first(identifiers: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    return identifiers[0] if identifiers else ("", "")


def _string(node: Any, path: str) -> str:
    """The string value of the first node of this path."""
    return str(node.xpath(f"string({path})", namespaces=_NAMESPACES)).strip(_BLANKS)


def _nodes(node: Any, path: str) -> list[Any]:
    return list(node.xpath(path, namespaces=_NAMESPACES))
