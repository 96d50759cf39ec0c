"""From the elements of a header to the `HeaderExtract` every later step works from.

Values are as written, trimmed of XML white space and nothing else; what is absent stays empty. What CDA R2 allows once and
the document holds twice is refused: two readers would disagree about which one counts.

The tree may be whole or hold nothing but what `shape` keeps: everything is asked for by its whole path from the root, and
every path asked for has its place there. So the ids and names of guardians, informants and participants cannot be taken for
the patient's.
"""

import re
from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element

import msgspec

from relais.contracts.header import Code, HeaderExtract, Identifier, Person, PersonName, ServiceEvent
from relais.ingestion.cda.limits import EXTRACT_BYTES_MAXIMUM, FIELD_CHARACTERS_MAXIMUM
from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode
from relais.ingestion.cda.shape import RECORD_TARGET, local_name, qualified

_XML_BLANKS: Final = " \t\r\n"
_ROOT: Final = "ClinicalDocument"
_ROLE_PATH: Final = "ClinicalDocument/recordTarget/patientRole"
_PATIENT_PATH: Final = "ClinicalDocument/recordTarget/patientRole/patient"
_EVENT_PATH: Final = "ClinicalDocument/documentationOf/serviceEvent"
_REPLACEMENT: Final = "RPLC"
_VERSION: Final = re.compile(r"[0-9]{1,9}")
# An OID, a UUID or a symbolic name. A root that could hold the `^` which joins it to its extension would let two
# different documents write the same identifier.
_IDENTIFIER_ROOT: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.\-]{0,127}")
_NO_IDENTIFIER: Final = Identifier()
_ENCODER: Final = msgspec.json.Encoder()
_EXTRACT_JSON_BYTES: Final = 1536
_PERSON_JSON_BYTES: Final = 512

_ID: Final = qualified("id")
_CODE: Final = qualified("code")
_NAME: Final = qualified("name")
_TIME: Final = qualified("time")
_TELECOM: Final = qualified("telecom")
_AUTHOR: Final = qualified("author")
_ASSIGNED_AUTHOR: Final = qualified("assignedAuthor")
_ASSIGNED_ENTITY: Final = qualified("assignedEntity")
_ASSIGNED_PERSON: Final = qualified("assignedPerson")
_ASSIGNED_DEVICE: Final = qualified("assignedAuthoringDevice")
_REPRESENTED_ORGANISATION: Final = qualified("representedOrganization")
_INDUSTRY: Final = qualified("standardIndustryClassCode")
_FAMILY: Final = qualified("family")
_GIVEN: Final = qualified("given")
_PREFIX: Final = qualified("prefix")
_SUFFIX: Final = qualified("suffix")
_SOFTWARE_NAME: Final = qualified("softwareName")
_MODEL_NAME: Final = qualified("manufacturerModelName")
_TEMPLATE_ID: Final = qualified("templateId")
_TITLE: Final = qualified("title")
_EFFECTIVE_TIME: Final = qualified("effectiveTime")
_LANGUAGE: Final = qualified("languageCode")
_CONFIDENTIALITY: Final = qualified("confidentialityCode")
_SET_ID: Final = qualified("setId")
_VERSION_NUMBER: Final = qualified("versionNumber")
_PATIENT_ROLE: Final = qualified("patientRole")
_PATIENT: Final = qualified("patient")
_SEX: Final = qualified("administrativeGenderCode")
_BIRTH_TIME: Final = qualified("birthTime")
_BIRTH_PLACE: Final = (qualified("birthplace"), qualified("place"), qualified("addr"), qualified("county"))
_CUSTODIAN: Final = (qualified("custodian"), qualified("assignedCustodian"), qualified("representedCustodianOrganization"))
_ENCOUNTER: Final = (qualified("componentOf"), qualified("encompassingEncounter"))
_FACILITY: Final = (qualified("location"), qualified("healthCareFacility"), _CODE)
_LEGAL_AUTHENTICATOR: Final = qualified("legalAuthenticator")
_DOCUMENTATION: Final = qualified("documentationOf")
_SERVICE_EVENT: Final = qualified("serviceEvent")
_PERFORMER: Final = qualified("performer")
_LOW: Final = qualified("low")
_HIGH: Final = qualified("high")
_RELATED_DOCUMENT: Final = qualified("relatedDocument")
_PARENT_DOCUMENT: Final = qualified("parentDocument")


def extract_header(document: Element, *, header_bytes: int, auto_presentable: bool) -> HeaderExtract:
    """Read the header of one ClinicalDocument, at most `header_bytes` long. Raises DocumentRefused with the first thing that is wrong."""
    identifier = _document_identifier(document, _ID, f"{_ROOT}/id")
    if identifier is None:
        raise DocumentRefused(RefusalCode.DOCUMENT_ID_MISSING, f"{_ROOT}/id/@root")
    type_code = _code(_one(document, _CODE, _ROOT), f"{_ROOT}/code")
    if type_code is None:
        raise DocumentRefused(RefusalCode.TYPE_CODE_MISSING, f"{_ROOT}/code/@code")
    role = _patient_role(document)
    patient_ids = _identifiers(role.findall(_ID), f"{_ROLE_PATH}/id")
    patient = _one(role, _PATIENT, _ROLE_PATH)
    if not patient_ids or patient is None:
        raise DocumentRefused(RefusalCode.PATIENT_MISSING, _PATIENT_PATH if patient_ids else f"{_ROLE_PATH}/id")
    names = patient.findall(_NAME)
    custodian = _chain(document, _CUSTODIAN, _ROOT)
    encounter = _chain(document, _ENCOUNTER, _ROOT)
    signer = _one(document, _LEGAL_AUTHENTICATOR, _ROOT)
    extract = HeaderExtract(
        id=identifier,
        set_id=_document_identifier(document, _SET_ID, f"{_ROOT}/setId"),
        version_number=_version_number(document),
        type=type_code,
        title=_text(_one(document, _TITLE, _ROOT), f"{_ROOT}/title"),
        effective_time=_value(_one(document, _EFFECTIVE_TIME, _ROOT), "value", f"{_ROOT}/effectiveTime"),
        language=_value(_one(document, _LANGUAGE, _ROOT), "code", f"{_ROOT}/languageCode"),
        confidentiality=_code(_one(document, _CONFIDENTIALITY, _ROOT), f"{_ROOT}/confidentialityCode"),
        template_ids=_identifiers(document.findall(_TEMPLATE_ID), f"{_ROOT}/templateId"),
        patient_ids=patient_ids,
        patient_families=_name_parts(names, _FAMILY),
        patient_givens=_name_parts(names, _GIVEN),
        patient_prefixes=tuple([part.value for part in _name_parts(names, _PREFIX)]),
        patient_sex=_value(_one(patient, _SEX, _PATIENT_PATH), "code", f"{_PATIENT_PATH}/administrativeGenderCode"),
        patient_birth_time=_value(_one(patient, _BIRTH_TIME, _PATIENT_PATH), "value", f"{_PATIENT_PATH}/birthTime"),
        patient_birth_place=_text(_chain(patient, _BIRTH_PLACE, _PATIENT_PATH), f"{_PATIENT_PATH}/birthplace"),
        patient_telecoms=_telecoms(role, f"{_ROLE_PATH}/telecom"),
        authors=tuple([_person(author, _ASSIGNED_AUTHOR, f"{_ROOT}/author") for author in document.findall(_AUTHOR)]),
        legal_authenticator=None if signer is None else _person(signer, _ASSIGNED_ENTITY, f"{_ROOT}/legalAuthenticator"),
        custodian_id=_identifier(_first(custodian, _ID), f"{_ROOT}/custodian"),
        custodian_name=_text(_first(custodian, _NAME), f"{_ROOT}/custodian"),
        service_events=tuple(_service_events(document)),
        facility=_code(_chain(encounter, _FACILITY, _ROOT), f"{_ROOT}/componentOf"),
        encounter_code=_code(_first(encounter, _CODE), f"{_ROOT}/componentOf"),
        replaces=_replaced(document),
        auto_presentable=auto_presentable,
    )
    if json_bytes_at_most(extract, header_bytes) > EXTRACT_BYTES_MAXIMUM and len(_ENCODER.encode(extract)) > EXTRACT_BYTES_MAXIMUM:
        raise DocumentRefused(RefusalCode.HEADER_TOO_LARGE, _ROOT)
    return extract


def json_bytes_at_most(extract: HeaderExtract, header_bytes: int) -> int:
    """An upper bound of the extract as JSON, told without encoding it. `header_bytes`: how long the header was in its document.

    Each byte of the header is read into one value at most, and becomes two bytes of JSON at most (a quote, a line feed). What
    JSON has around the values of an item of a list (an identifier, a name, a telecom) is shorter than twice the markup it was
    read from, so three bytes for one are enough for both; around persons, events and the rest it is bounded by constants.
    """
    persons = 1 + len(extract.authors) + len(extract.service_events)
    return _EXTRACT_JSON_BYTES + persons * _PERSON_JSON_BYTES + 3 * header_bytes


def _patient_role(document: Element) -> Element:
    targets = document.findall(RECORD_TARGET)
    roles = [role for target in targets for role in target.findall(_PATIENT_ROLE)]
    if len(targets) > 1 or len(roles) > 1:
        raise DocumentRefused(RefusalCode.MULTIPLE_RECORD_TARGETS, f"{_ROOT}/recordTarget")
    if not roles:
        raise DocumentRefused(RefusalCode.PATIENT_MISSING, f"{_ROOT}/recordTarget")
    return roles[0]


def _document_identifier(document: Element, name: str, path: str) -> Identifier | None:
    identifier = _identifier(_one(document, name, _ROOT), path)
    if not identifier.root and not identifier.extension:
        return None
    if _IDENTIFIER_ROOT.fullmatch(identifier.root) is None:
        raise DocumentRefused(RefusalCode.FIELD_MALFORMED, f"{path}/@root")
    return identifier


def _version_number(document: Element) -> int | None:
    written = _value(_one(document, _VERSION_NUMBER, _ROOT), "value", f"{_ROOT}/versionNumber")
    if not written:
        return None
    if _VERSION.fullmatch(written) is None:
        raise DocumentRefused(RefusalCode.FIELD_MALFORMED, f"{_ROOT}/versionNumber/@value")
    return int(written)


def _person(participation: Element, role_name: str, path: str) -> Person:
    """The professional or device of an author, authenticator or performer, with the organisation they act for."""
    time = _first(participation, _TIME)
    role = _one(participation, role_name, path)
    if role is None:
        return Person(time=_value(time, "value", path))
    person = _first(_one(role, _ASSIGNED_PERSON, path), _NAME)
    # CDA R2 has no device in the other roles, and `shape` no place for it.
    device = _one(role, _ASSIGNED_DEVICE, path) if role_name == _ASSIGNED_AUTHOR else None
    organisation = _one(role, _REPRESENTED_ORGANISATION, path)
    return Person(
        identifier=_identifier(role.find(_ID), path),
        family=_text(_first(person, _FAMILY), path),
        given=_text(_first(person, _GIVEN), path),
        prefix=_text(_first(person, _PREFIX), path),
        suffix=_text(_first(person, _SUFFIX), path),
        device=_text(_first(device, _SOFTWARE_NAME), path) or _text(_first(device, _MODEL_NAME), path),
        specialty=_code(role.find(_CODE), path),
        organisation_id=_identifier(_first(organisation, _ID), path),
        organisation_name=_text(_first(organisation, _NAME), path),
        organisation_industry=_code(_first(organisation, _INDUSTRY), path),
        time=_value(time, "value", path),
        telecoms=_telecoms(role, path),
    )


def _service_events(document: Element) -> Iterable[ServiceEvent]:
    for documentation in document.findall(_DOCUMENTATION):
        event = _one(documentation, _SERVICE_EVENT, f"{_ROOT}/documentationOf")
        if event is None:
            continue
        period = _one(event, _EFFECTIVE_TIME, _EVENT_PATH)
        performer = event.find(_PERFORMER)
        yield ServiceEvent(
            code=_code(_one(event, _CODE, _EVENT_PATH), _EVENT_PATH),
            low=_value(_first(period, _LOW), "value", _EVENT_PATH),
            high=_value(_first(period, _HIGH), "value", _EVENT_PATH),
            performer=None if performer is None else _person(performer, _ASSIGNED_ENTITY, f"{_EVENT_PATH}/performer"),
        )


def _replaced(document: Element) -> tuple[Identifier, ...]:
    written = [
        identifier
        for related in document.findall(_RELATED_DOCUMENT)
        if related.get("typeCode") == _REPLACEMENT
        for parent in related.findall(_PARENT_DOCUMENT)
        for identifier in parent.findall(_ID)
    ]
    return _identifiers(written, f"{_ROOT}/relatedDocument/parentDocument/id")


def _name_parts(names: list[Element], part: str) -> tuple[PersonName, ...]:
    parts = []
    for name in names:
        for element in name.findall(part):
            path = f"{_PATIENT_PATH}/name/{local_name(part)}"
            value = _text(element, path)
            if value:
                parts.append(PersonName(value=value, qualifier=_value(element, "qualifier", path)))
    return tuple(parts)


def _telecoms(role: Element, path: str) -> tuple[str, ...]:
    written = [_value(telecom, "value", path) for telecom in role.findall(_TELECOM)]
    return tuple([value for value in written if value])


def _identifiers(elements: list[Element], path: str) -> tuple[Identifier, ...]:
    written = [_identifier(element, path) for element in elements]
    return tuple([identifier for identifier in written if identifier.root or identifier.extension])


def _identifier(element: Element | None, path: str) -> Identifier:
    if element is None:
        return _NO_IDENTIFIER
    root = element.get("root", "")
    extension = element.get("extension", "")
    if len(root) > FIELD_CHARACTERS_MAXIMUM or len(extension) > FIELD_CHARACTERS_MAXIMUM:
        attribute = "root" if len(root) > FIELD_CHARACTERS_MAXIMUM else "extension"
        raise DocumentRefused(RefusalCode.FIELD_TOO_LONG, f"{path}/@{attribute}")
    return Identifier(root=root.strip(_XML_BLANKS), extension=extension.strip(_XML_BLANKS))


def _code(element: Element | None, path: str) -> Code | None:
    if element is None or not (code := _value(element, "code", path)):
        return None
    return Code(code=code, system=_value(element, "codeSystem", path), display=_value(element, "displayName", path))


def _chain(element: Element | None, names: tuple[str, ...], path: str) -> Element | None:
    """Follow single children by name; nothing when one of them is absent."""
    for name in names:
        if element is None:
            return None
        element = _one(element, name, path)
        path = f"{path}/{local_name(name)}"
    return element


def _one(element: Element, name: str, path: str) -> Element | None:
    children = element.findall(name)
    if len(children) > 1:
        raise DocumentRefused(RefusalCode.ELEMENT_REPEATED, f"{path}/{local_name(name)}")
    return children[0] if children else None


def _first(element: Element | None, name: str) -> Element | None:
    return None if element is None else element.find(name)


def _value(element: Element | None, attribute: str, path: str) -> str:
    if element is None or (written := element.get(attribute)) is None:
        return ""
    if len(written) > FIELD_CHARACTERS_MAXIMUM:
        raise DocumentRefused(RefusalCode.FIELD_TOO_LONG, f"{path}/@{attribute}")
    return written.strip(_XML_BLANKS)


def _text(element: Element | None, path: str) -> str:
    """The characters of an element and all below it, as XPath's `string()` gives them."""
    if element is None:
        return ""
    written = "".join(element.itertext()) if len(element) else element.text or ""
    text = written.strip(_XML_BLANKS)
    if len(text) > FIELD_CHARACTERS_MAXIMUM:
        raise DocumentRefused(RefusalCode.FIELD_TOO_LONG, path)
    return text
