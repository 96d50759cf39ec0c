"""From the kept elements of a header to the `HeaderExtract` every later step works from.

Values are as written, trimmed of XML white space and nothing else; what is absent stays empty. What CDA R2 allows once and
the document holds twice is refused: two readers would disagree about which one counts.
"""

import re
from typing import Final

import msgspec

from relais.contracts.header import Code, HeaderExtract, Identifier, Person, PersonName, ServiceEvent
from relais.ingestion.cda.limits import EXTRACT_BYTES_MAXIMUM, FIELD_CHARACTERS_MAXIMUM
from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode
from relais.ingestion.cda.shape import Element

_XML_BLANKS: Final = " \t\r\n"
_ROOT: Final = "ClinicalDocument"
_PATIENT: Final = "ClinicalDocument/recordTarget/patientRole/patient"
_REPLACEMENT: Final = "RPLC"
_VERSION: Final = re.compile(r"[0-9]{1,9}")
# An OID, a UUID or a symbolic name. A root that could hold the `^` which joins it to its extension would let two
# different documents write the same identifier.
_IDENTIFIER_ROOT: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.\-]{0,127}")
_NO_IDENTIFIER: Final = Identifier()
_ENCODER: Final = msgspec.json.Encoder()


def extract_header(document: Element, *, auto_presentable: bool) -> HeaderExtract:
    """Read the header of one ClinicalDocument. Raises DocumentRefused with the first thing that is wrong."""
    identifier = _document_identifier(document, "id")
    if identifier is None:
        raise DocumentRefused(RefusalCode.DOCUMENT_ID_MISSING, f"{_ROOT}/id/@root")
    type_code = _code(_one(document, "code", _ROOT), f"{_ROOT}/code")
    if type_code is None:
        raise DocumentRefused(RefusalCode.TYPE_CODE_MISSING, f"{_ROOT}/code/@code")
    role = _patient_role(document)
    patient_ids = _identifiers(role.children.get("id", ()), f"{_ROOT}/recordTarget/patientRole/id")
    patient = _one(role, "patient", f"{_ROOT}/recordTarget/patientRole")
    if not patient_ids or patient is None:
        raise DocumentRefused(RefusalCode.PATIENT_MISSING, f"{_ROOT}/recordTarget/patientRole/{'patient' if patient_ids else 'id'}")
    names = patient.children.get("name", ())
    custodian = _chain(document, _ROOT, "custodian", "assignedCustodian", "representedCustodianOrganization")
    encounter = _chain(document, _ROOT, "componentOf", "encompassingEncounter")
    signer = _one(document, "legalAuthenticator", _ROOT)
    extract = HeaderExtract(
        id=identifier,
        set_id=_document_identifier(document, "setId"),
        version_number=_version_number(document),
        type=type_code,
        title=_text(_one(document, "title", _ROOT), f"{_ROOT}/title"),
        effective_time=_value(_one(document, "effectiveTime", _ROOT), "value", f"{_ROOT}/effectiveTime"),
        language=_value(_one(document, "languageCode", _ROOT), "code", f"{_ROOT}/languageCode"),
        confidentiality=_code(_one(document, "confidentialityCode", _ROOT), f"{_ROOT}/confidentialityCode"),
        template_ids=_identifiers(document.children.get("templateId", ()), f"{_ROOT}/templateId"),
        patient_ids=patient_ids,
        patient_families=_name_parts(names, "family"),
        patient_givens=_name_parts(names, "given"),
        patient_prefixes=tuple(part.value for part in _name_parts(names, "prefix")),
        patient_sex=_value(_one(patient, "administrativeGenderCode", _PATIENT), "code", f"{_PATIENT}/administrativeGenderCode"),
        patient_birth_time=_value(_one(patient, "birthTime", _PATIENT), "value", f"{_PATIENT}/birthTime"),
        patient_birth_place=_text(_chain(patient, _PATIENT, "birthplace", "place", "addr", "county"), f"{_PATIENT}/birthplace"),
        patient_telecoms=_telecoms(role, f"{_ROOT}/recordTarget/patientRole/telecom"),
        authors=tuple(_person(author, "assignedAuthor", f"{_ROOT}/author") for author in document.children.get("author", ())),
        legal_authenticator=_person(signer, "assignedEntity", f"{_ROOT}/legalAuthenticator") if signer else None,
        custodian_id=_identifier(_first(custodian, "id"), f"{_ROOT}/custodian"),
        custodian_name=_text(_first(custodian, "name"), f"{_ROOT}/custodian"),
        service_events=_service_events(document),
        facility=_code(_chain(encounter, _ROOT, "location", "healthCareFacility", "code"), f"{_ROOT}/componentOf"),
        encounter_code=_code(_first(encounter, "code"), f"{_ROOT}/componentOf"),
        replaces=_replaced(document),
        auto_presentable=auto_presentable,
    )
    if len(_ENCODER.encode(extract)) > EXTRACT_BYTES_MAXIMUM:
        raise DocumentRefused(RefusalCode.HEADER_TOO_LARGE, _ROOT)
    return extract


def _patient_role(document: Element) -> Element:
    targets = document.children.get("recordTarget", ())
    roles = [role for target in targets for role in target.children.get("patientRole", ())]
    if len(targets) > 1 or len(roles) > 1:
        raise DocumentRefused(RefusalCode.MULTIPLE_RECORD_TARGETS, f"{_ROOT}/recordTarget")
    if not roles:
        raise DocumentRefused(RefusalCode.PATIENT_MISSING, f"{_ROOT}/recordTarget")
    return roles[0]


def _document_identifier(document: Element, name: str) -> Identifier | None:
    identifier = _identifier(_one(document, name, _ROOT), f"{_ROOT}/{name}")
    if not identifier.root and not identifier.extension:
        return None
    if _IDENTIFIER_ROOT.fullmatch(identifier.root) is None:
        raise DocumentRefused(RefusalCode.FIELD_MALFORMED, f"{_ROOT}/{name}/@root")
    return identifier


def _version_number(document: Element) -> int | None:
    written = _value(_one(document, "versionNumber", _ROOT), "value", f"{_ROOT}/versionNumber")
    if not written:
        return None
    if _VERSION.fullmatch(written) is None:
        raise DocumentRefused(RefusalCode.FIELD_MALFORMED, f"{_ROOT}/versionNumber/@value")
    return int(written)


def _person(participation: Element, role_name: str, path: str) -> Person:
    """The professional or device of an author, authenticator or performer, with the organisation they act for."""
    role = _one(participation, role_name, path)
    person = _first(_one(role, "assignedPerson", path), "name")
    device = _one(role, "assignedAuthoringDevice", path)
    organisation = _one(role, "representedOrganization", path)
    return Person(
        identifier=_identifier(_first(role, "id"), path),
        family=_text(_first(person, "family"), path),
        given=_text(_first(person, "given"), path),
        prefix=_text(_first(person, "prefix"), path),
        suffix=_text(_first(person, "suffix"), path),
        device=_text(_first(device, "softwareName"), path) or _text(_first(device, "manufacturerModelName"), path),
        specialty=_code(_first(role, "code"), path),
        organisation_id=_identifier(_first(organisation, "id"), path),
        organisation_name=_text(_first(organisation, "name"), path),
        organisation_industry=_code(_first(organisation, "standardIndustryClassCode"), path),
        time=_value(_first(participation, "time"), "value", path),
        telecoms=_telecoms(role, path) if role else (),
    )


def _service_events(document: Element) -> tuple[ServiceEvent, ...]:
    path = f"{_ROOT}/documentationOf/serviceEvent"
    events = []
    for documentation in document.children.get("documentationOf", ()):
        event = _one(documentation, "serviceEvent", f"{_ROOT}/documentationOf")
        if event is None:
            continue
        period = _one(event, "effectiveTime", path)
        performer = _first(event, "performer")
        events.append(
            ServiceEvent(
                code=_code(_one(event, "code", path), path),
                low=_value(_first(period, "low"), "value", path),
                high=_value(_first(period, "high"), "value", path),
                performer=_person(performer, "assignedEntity", f"{path}/performer") if performer else None,
            )
        )
    return tuple(events)


def _replaced(document: Element) -> tuple[Identifier, ...]:
    parents = [
        parent
        for related in document.children.get("relatedDocument", ())
        if related.attributes.get("typeCode") == _REPLACEMENT
        for parent in related.children.get("parentDocument", ())
    ]
    path = f"{_ROOT}/relatedDocument/parentDocument/id"
    return _identifiers([identifier for parent in parents for identifier in parent.children.get("id", ())], path)


def _name_parts(names: list[Element] | tuple[()], part: str) -> tuple[PersonName, ...]:
    path = f"{_PATIENT}/name/{part}"
    return tuple(
        PersonName(value=_text(element, path), qualifier=_value(element, "qualifier", path))
        for name in names
        for element in name.children.get(part, ())
        if element.text
    )


def _telecoms(role: Element, path: str) -> tuple[str, ...]:
    written = [_value(telecom, "value", path) for telecom in role.children.get("telecom", ())]
    return tuple(value for value in written if value)


def _identifiers(elements: list[Element] | tuple[()], path: str) -> tuple[Identifier, ...]:
    written = [_identifier(element, path) for element in elements]
    return tuple(identifier for identifier in written if identifier.root or identifier.extension)


def _identifier(element: Element | None, path: str) -> Identifier:
    if element is None:
        return _NO_IDENTIFIER
    return Identifier(root=_value(element, "root", path), extension=_value(element, "extension", path))


def _code(element: Element | None, path: str) -> Code | None:
    if element is None or not (code := _value(element, "code", path)):
        return None
    return Code(code=code, system=_value(element, "codeSystem", path), display=_value(element, "displayName", path))


def _chain(element: Element | None, path: str, *names: str) -> Element | None:
    """Follow single children by name; nothing when one of them is absent."""
    for name in names:
        element = _one(element, name, path)
        path = f"{path}/{name}"
    return element


def _one(element: Element | None, name: str, path: str) -> Element | None:
    children = element.children.get(name) if element is not None else None
    if children is None:
        return None
    if len(children) > 1:
        raise DocumentRefused(RefusalCode.ELEMENT_REPEATED, f"{path}/{name}")
    return children[0]


def _first(element: Element | None, name: str) -> Element | None:
    children = element.children.get(name) if element is not None else None
    return children[0] if children else None


def _value(element: Element | None, attribute: str, path: str) -> str:
    if element is None or (written := element.attributes.get(attribute)) is None:
        return ""
    if len(written) > FIELD_CHARACTERS_MAXIMUM:
        raise DocumentRefused(RefusalCode.FIELD_TOO_LONG, f"{path}/@{attribute}")
    return written.strip(_XML_BLANKS)


def _text(element: Element | None, path: str) -> str:
    if element is None:
        return ""
    if len(element.text) > FIELD_CHARACTERS_MAXIMUM:
        raise DocumentRefused(RefusalCode.FIELD_TOO_LONG, path)
    return element.text
