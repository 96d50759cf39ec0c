"""Which elements of a header count: while a document streams in, what has no place here is never in memory, let alone read.

The patient is `recordTarget/patientRole/id` (SAFETY 2). Kept elements are named by their whole path from the root, so the
ids and names of guardians, informants and participants cannot be taken for the patient's.
"""

from collections.abc import Mapping
from typing import Final

CDA_NAMESPACE: Final = "urn:hl7-org:v3"
NAMESPACE_SEPARATOR: Final = " "
"""Between namespace and local name in the names that expat reports; expat refuses a namespace that holds it."""


def qualified(local_name: str) -> str:
    """A name of the CDA namespace as expat reports it."""
    return f"{CDA_NAMESPACE}{NAMESPACE_SEPARATOR}{local_name}"


def local_name(name: str) -> str:
    """The name without its namespace."""
    return name.rpartition(NAMESPACE_SEPARATOR)[2]


CLINICAL_DOCUMENT: Final = qualified("ClinicalDocument")

COMPONENT_NAME: Final = qualified("component")

RECORD_TARGET: Final = qualified("recordTarget")
"""The one element that may stand nowhere but in its place: anywhere else it would be somebody's second patient."""


class Shape:
    """The kept children of an element, by qualified name; `has_text` keeps its characters, as XPath's `string()` would."""

    __slots__ = ("children", "has_text", "name")

    def __init__(self, name: str, children: "Mapping[str, Shape]", *, has_text: bool) -> None:
        self.name = name
        self.children = children
        self.has_text = has_text


def _kept(name: str, *children: Shape) -> Shape:
    return Shape(name, {qualified(child.name): child for child in children}, has_text=False)


def _text(name: str) -> Shape:
    return Shape(name, {}, has_text=True)


def _organisation(name: str) -> Shape:
    return _kept(name, _ID, _text("name"), _kept("standardIndustryClassCode"))


_ID: Final = _kept("id")
_CODE: Final = _kept("code")
_TIME: Final = _kept("time")
_TELECOM: Final = _kept("telecom")
_NAME: Final = _kept("name", _text("family"), _text("given"), _text("prefix"), _text("suffix"))
_PERSON: Final = _kept("assignedPerson", _NAME)
_DEVICE: Final = _kept("assignedAuthoringDevice", _text("softwareName"), _text("manufacturerModelName"))
_ENTITY: Final = _kept("assignedEntity", _ID, _CODE, _TELECOM, _PERSON, _organisation("representedOrganization"))
_AUTHOR: Final = _kept("assignedAuthor", _ID, _CODE, _TELECOM, _PERSON, _DEVICE, _organisation("representedOrganization"))
_PLACE: Final = _kept("place", _kept("addr", _text("county")))
_PATIENT: Final = _kept("patient", _NAME, _kept("administrativeGenderCode"), _kept("birthTime"), _kept("birthplace", _PLACE))
_EVENT: Final = _kept("serviceEvent", _CODE, _kept("effectiveTime", _kept("low"), _kept("high")), _kept("performer", _TIME, _ENTITY))
_ENCOUNTER: Final = _kept("encompassingEncounter", _CODE, _kept("location", _kept("healthCareFacility", _CODE)))

COMPONENT: Final = _kept("component")
"""Where the header ends: a child of ClinicalDocument, and the only element of that path."""

HEADER: Final = _kept(
    "ClinicalDocument",
    _kept("templateId"),
    _ID,
    _CODE,
    _text("title"),
    _kept("effectiveTime"),
    _kept("confidentialityCode"),
    _kept("languageCode"),
    _kept("setId"),
    _kept("versionNumber"),
    _kept("recordTarget", _kept("patientRole", _ID, _TELECOM, _PATIENT)),
    _kept("author", _TIME, _AUTHOR),
    _kept("custodian", _kept("assignedCustodian", _organisation("representedCustodianOrganization"))),
    _kept("legalAuthenticator", _TIME, _ENTITY),
    _kept("documentationOf", _EVENT),
    _kept("relatedDocument", _kept("parentDocument", _ID)),
    _kept("componentOf", _ENCOUNTER),
    COMPONENT,
)
