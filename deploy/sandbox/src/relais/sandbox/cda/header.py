"""The header of a synthetic document: all that *Structuration minimale* asks for, in the order of the CDA schema."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from relais.contracts.header import Code, Identifier
from relais.sandbox.cda.markup import attributes, code, identifier, text
from relais.sandbox.cda.people import Doctor, Person
from relais.sandbox.cda.types import DocumentType

_PROFESSIONALS: Final = "1.2.250.1.71.4.2.1"
_STRUCTURES: Final = "1.2.250.1.71.4.2.2"
_SPECIALTIES: Final = "1.2.250.1.213.1.1.4.5"
_UNSTRUCTURED_MODEL: Final = Identifier(root="1.3.6.1.4.1.19376.1.2.20")
_HOSPITAL: Final = Code(code="ETABLISSEMENT", display="Etablissement de santé", system="1.2.250.1.213.1.1.4.9")
_PUBLIC_HOSPITAL: Final = Code(code="SA01", display="Etablissement public de santé", system="1.2.250.1.71.4.2.4")
_INPATIENT: Final = Code(code="IMP", display="Hospitalisation (établissement, y compris HAD)", system="2.16.840.1.113883.5.4")
_NORMAL: Final = Code(code="N", display="Normal", system="2.16.840.1.113883.5.25")
_SEXES: Final = {"F": "Féminin", "M": "Masculin"}
_STAY: Final = timedelta(days=3, hours=2)
_NAMESPACES: Final = 'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


class HeaderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a header is written from."""

    identifier: Identifier
    set_id: Identifier
    version_number: int
    replaces: Identifier | None
    type: DocumentType
    structured: bool
    patient: Person
    doctor: Doctor
    written_at: datetime


def write_header(facts: HeaderFacts) -> str:
    """From the XML declaration to the tag before `component`."""
    model = facts.type.model if facts.structured else _UNSTRUCTURED_MODEL
    templates = [Identifier(root="2.16.840.1.113883.2.8.2.1"), Identifier(root="1.2.250.1.213.1.1.1.1")]
    if model is not None:
        templates.append(model)
    return "\n".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<ClinicalDocument {_NAMESPACES}>",
            '<realmCode code="FR"/>',
            '<typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>',
            *(identifier("templateId", template) for template in templates),
            identifier("id", facts.identifier),
            code("code", facts.type.code),
            text("title", facts.type.title),
            f"<effectiveTime{attributes(value=_timestamp(facts.written_at))}/>",
            code("confidentialityCode", _NORMAL),
            '<languageCode code="fr-FR"/>',
            identifier("setId", facts.set_id),
            f'<versionNumber value="{facts.version_number}"/>',
            _record_target(facts.patient),
            _author(facts),
            _relative(facts.patient),
            _custodian(facts.doctor),
            _legal_authenticator(facts),
            _family_doctor(facts),
            _documentation(facts),
            _replacement(facts.replaces),
            _encounter(facts.written_at),
        )
    )


def _record_target(patient: Person) -> str:
    identity = patient.identity
    ins = Identifier(root=identity.ins_oid, extension=identity.ins)
    local = Identifier(root=identity.local_id_authority, extension=identity.local_id)
    return f"""<recordTarget>
<patientRole>
{identifier("id", ins)}
{identifier("id", local)}
{_address("12", "Rue de l'Écluse", "75010", "PARIS")}
<telecom value="tel:0100000000" use="H"/>
<telecom{attributes(value=f"mailto:{identity.ins}@patient.mssante.fr")}/>
<patient>
<name>
{text("family", identity.birth_family_name, qualifier="BR")}
{text("family", patient.used_name, qualifier="CL")}
{text("given", identity.given_names)}
{text("given", identity.first_birth_given_name, qualifier="BR")}
</name>
{code("administrativeGenderCode", Code(code=identity.sex, display=_SEXES[identity.sex], system="2.16.840.1.113883.5.1"))}
<birthTime{attributes(value=identity.birth_date)}/>
<birthplace>
<place>
<addr>
{text("county", identity.birth_place)}
{text("city", patient.birth_town)}
</addr>
</place>
</birthplace>
</patient>
</patientRole>
</recordTarget>"""


def _author(facts: HeaderFacts) -> str:
    doctor = facts.doctor
    specialty = Code(code=doctor.specialty_code, display=doctor.specialty_label, system=_SPECIALTIES)
    return f"""<author>
<time{attributes(value=_timestamp(facts.written_at))}/>
<assignedAuthor>
{_professional_id(doctor)}
{code("code", specialty)}
{_address("3", "Place du Marché", "75011", "PARIS")}
<telecom value="tel:0100000001" use="WP"/>
{_assigned_person(doctor)}
<representedOrganization>
{_organisation(doctor)}
</representedOrganization>
</assignedAuthor>
</author>"""


def _relative(patient: Person) -> str:
    """Somebody to call, of the same name as the patient: a reader that looked for names anywhere would find this one."""
    return f"""<informant>
<relatedEntity classCode="ECON">
<code code="SIS" displayName="Soeur" codeSystem="2.16.840.1.113883.5.111"/>
<telecom value="tel:0100000003" use="MC"/>
<relatedPerson>
<name>
{text("family", patient.identity.birth_family_name, qualifier="BR")}
<given>Solange</given>
</name>
</relatedPerson>
</relatedEntity>
</informant>"""


def _family_doctor(facts: HeaderFacts) -> str:
    return f"""<participant typeCode="INF">
<functionCode code="PCP" displayName="Médecin Traitant" codeSystem="2.16.840.1.113883.5.88"/>
<time nullFlavor="NA"/>
<associatedEntity classCode="PROV">
{_professional_id(facts.doctor)}
{_address("7", "Quai des Carrosses", "75012", "PARIS")}
<telecom value="tel:0100000004" use="WP"/>
<associatedPerson>
<name>
<family>MESSAGER</family>
<given>Armance</given>
</name>
</associatedPerson>
</associatedEntity>
</participant>"""


def _custodian(doctor: Doctor) -> str:
    return f"""<custodian>
<assignedCustodian>
<representedCustodianOrganization>
{_organisation(doctor)}
<telecom value="tel:0100000002" use="WP"/>
{_address("3", "Place du Marché", "75011", "PARIS")}
</representedCustodianOrganization>
</assignedCustodian>
</custodian>"""


def _legal_authenticator(facts: HeaderFacts) -> str:
    return f"""<legalAuthenticator>
<time{attributes(value=_timestamp(facts.written_at))}/>
<signatureCode code="S"/>
<assignedEntity>
{_professional_id(facts.doctor)}
{_assigned_person(facts.doctor)}
<representedOrganization>
{_organisation(facts.doctor)}
</representedOrganization>
</assignedEntity>
</legalAuthenticator>"""


def _documentation(facts: HeaderFacts) -> str:
    return f"""<documentationOf>
<serviceEvent>
{code("code", _INPATIENT)}
{_period(facts.written_at)}
<performer typeCode="PRF">
<assignedEntity>
{_professional_id(facts.doctor)}
{_assigned_person(facts.doctor)}
<representedOrganization>
{_organisation(facts.doctor)}
{code("standardIndustryClassCode", _HOSPITAL)}
</representedOrganization>
</assignedEntity>
</performer>
</serviceEvent>
</documentationOf>"""


def _replacement(replaced: Identifier | None) -> str:
    if replaced is None:
        return "<!-- version initiale -->"
    return f"""<relatedDocument typeCode="RPLC">
<parentDocument>
{identifier("id", replaced)}
</parentDocument>
</relatedDocument>"""


def _encounter(written_at: datetime) -> str:
    return f"""<componentOf>
<encompassingEncounter>
{_period(written_at)}
<location>
<healthCareFacility>
{code("code", _PUBLIC_HOSPITAL)}
</healthCareFacility>
</location>
</encompassingEncounter>
</componentOf>"""


def _period(end: datetime) -> str:
    return f"""<effectiveTime>
<low{attributes(value=_timestamp(end - _STAY))}/>
<high{attributes(value=_timestamp(end))}/>
</effectiveTime>"""


def _professional_id(doctor: Doctor) -> str:
    return identifier("id", Identifier(root=_PROFESSIONALS, extension=doctor.professional.identifier))


def _assigned_person(doctor: Doctor) -> str:
    return f"""<assignedPerson>
<name>
{text("family", doctor.professional.family_name)}
{text("given", doctor.professional.given_name)}
<prefix>M</prefix>
<suffix>DR</suffix>
</name>
</assignedPerson>"""


def _organisation(doctor: Doctor) -> str:
    structure = Identifier(root=_STRUCTURES, extension=doctor.professional.organisation)
    return f"{identifier('id', structure)}\n{text('name', doctor.organisation_name)}"


def _address(number: str, street: str, postal_code: str, city: str) -> str:
    return f"""<addr>
{text("houseNumber", number)}
{text("streetName", street)}
{text("postalCode", postal_code)}
{text("city", city)}
<country>FRANCE</country>
</addr>"""


def _timestamp(instant: datetime) -> str:
    return f"{instant:%Y%m%d%H%M%S%z}"
