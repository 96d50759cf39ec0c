"""Attacks what the header reader says of documents it takes in: the right patient, every value as written, nothing guessed."""

import re

import msgspec
import pytest

from relais.contracts.header import Code, HeaderExtract, Identifier, PersonName
from relais.ingestion.cda import read_header
from relais.sandbox.cda import DOCUMENT_TYPES, Kind, SyntheticDocument, generate
from tests.ingestion.given_cda import STRUCTURED, UNSTRUCTURED, changed

_MINIMAL = """<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="2.25.1"/><code code="11502-2" codeSystem="2.16.840.1.113883.6.1"/>
<recordTarget><patientRole><id extension="42"/><patient/></patientRole></recordTarget>
<component><structuredBody/></component></ClinicalDocument>"""


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("type_code", list(DOCUMENT_TYPES))
def test_the_header_says_what_its_sender_declares(kind: Kind, type_code: str) -> None:
    document = generate(7, kind=kind, type_code=type_code, version_number=2)
    header = read_header(document.body)
    _assert_agrees(header, document)
    assert header.structured == (kind is Kind.N3)
    assert header.body_media_type == ("" if kind is Kind.N3 else "application/pdf")
    assert header.replaces == (generate(7, kind=kind, type_code=type_code).identifier,)
    assert header.facility == Code(code="SA01", system="1.2.250.1.71.4.2.4", display="Etablissement public de santé")
    performer = header.service_events[0].performer
    assert performer is not None
    assert performer.organisation_industry is not None
    assert performer.organisation_industry.code == "ETABLISSEMENT"


def test_what_a_header_does_not_say_stays_empty() -> None:
    header = read_header(_MINIMAL.encode())
    assert header == HeaderExtract(
        id=Identifier(root="2.25.1"),
        type=Code(code="11502-2", system="2.16.840.1.113883.6.1"),
        patient_ids=(Identifier(extension="42"),),
        structured=True,
    )


def test_a_namespace_prefix_changes_nothing() -> None:
    prefixed = re.sub(rb"<(/?)(?=[A-Za-z])", rb"<\1cda:", STRUCTURED.body).replace(b"xmlns=", b"xmlns:cda=")
    assert b"<cda:recordTarget>" in prefixed
    assert read_header(prefixed) == read_header(STRUCTURED.body)


def test_a_byte_order_mark_and_a_missing_prolog_change_nothing() -> None:
    without_prolog = STRUCTURED.body.split(b"?>\n", 1)[1]
    assert read_header(without_prolog) == read_header(STRUCTURED.body)
    assert read_header(b"\xef\xbb\xbf" + STRUCTURED.body) == read_header(STRUCTURED.body)


def test_a_document_inside_its_own_stylesheet_is_read_and_marked() -> None:
    header = read_header(in_stylesheet(STRUCTURED.body))
    assert header == msgspec.structs.replace(read_header(STRUCTURED.body), auto_presentable=True)


def test_only_the_ids_of_the_record_target_are_the_patient() -> None:
    guardian = """<guardian><id root="1.2.250.1.213.1.4.10" extension="277076322082910"/><guardianPerson><name>
        <family qualifier="BR">MERE</family></name></guardianPerson></guardian>"""
    document = changed(STRUCTURED.body, "<birthplace>", guardian + "<birthplace>")
    participant = '<participant typeCode="HLD"><associatedEntity classCode="POLHOLD"><id root="1.2.250.1.213.1.4.10" extension="1"/>'
    document = changed(
        document, '<participant typeCode="INF">', f"{participant}</associatedEntity></participant>" + '<participant typeCode="INF">'
    )
    assert read_header(document) == read_header(STRUCTURED.body)


def test_elements_of_another_namespace_are_not_taken_for_ours() -> None:
    foreign = '<x:recordTarget xmlns:x="urn:example"><x:patientRole><x:id extension="1"/></x:patientRole></x:recordTarget>'
    document = changed(STRUCTURED.body, "<author>", foreign + '<id xmlns="urn:example" root="1.2.3"/><author>')
    assert read_header(document) == read_header(STRUCTURED.body)


def test_comments_cdata_and_markup_do_not_cut_a_name() -> None:
    written = f">{STRUCTURED.identity.birth_family_name}<"
    document = changed(STRUCTURED.body, written, "><!-- a -->DU<!-- b --><sub>PO</sub><![CDATA[NT <&>]]>&#233;<?pi?>\n<")
    assert read_header(document).patient_families[0] == PersonName(value="DUPONT <&>é", qualifier="BR")


@pytest.mark.parametrize(
    "name",
    [
        "E\u0301LISE", "É", "\u202eESIRE\u202c", "ZERO\u200bWIDTH", "\u00a0NBSP\u00a0", "\U0001f469\u200d\u2695\ufe0f", "\ufb01",
        "İSTANBUL", "ΣΊΣΥΦΟΣ", "ß", "A\u0338", "\ufeffMARK", "\u2028", "a" * 2048,
    ],
)  # fmt: skip
def test_a_name_keeps_every_unicode_trick_as_written(name: str) -> None:
    document = changed(STRUCTURED.body, f">{STRUCTURED.identity.birth_family_name}<", f"> \t\r\n{name} \t\r\n<")
    assert read_header(document).patient_families[0].value == name


def test_empty_names_and_null_identifiers_are_left_out() -> None:
    document = changed(STRUCTURED.body, "<name>", '<name><family nullFlavor="UNK"/><given> </given>')
    document = changed(document, "<patientRole>", '<patientRole><id nullFlavor="NAV"/>')
    assert read_header(document) == read_header(STRUCTURED.body)


def test_an_author_may_be_a_device() -> None:
    device = (
        "<assignedAuthoringDevice><manufacturerModelName>M</manufacturerModelName><softwareName>S</softwareName></assignedAuthoringDevice>"
    )
    person = STRUCTURED.body[STRUCTURED.body.index(b"<assignedPerson>") : STRUCTURED.body.index(b"</assignedPerson>") + 17].decode()
    author = read_header(changed(STRUCTURED.body, person, device)).authors[0]
    assert (author.device, author.family) == ("S", "")
    without_software = changed(changed(STRUCTURED.body, person, device), "<softwareName>S</softwareName>", "")
    assert read_header(without_software).authors[0].device == "M"


def test_a_transformed_document_is_not_a_replaced_one() -> None:
    related = '<relatedDocument typeCode="XFRM"><parentDocument><id root="2.25.9"/></parentDocument></relatedDocument>'
    assert read_header(changed(STRUCTURED.body, "<!-- version initiale -->", related)).replaces == ()
    replaced = related.replace("XFRM", "RPLC")
    assert read_header(changed(STRUCTURED.body, "<!-- version initiale -->", replaced)).replaces == (Identifier(root="2.25.9"),)


@pytest.mark.parametrize(
    ("attributes", "payload"),
    [
        ('mediaType="application/pdf" representation="B64"', "QUJD RERF\n&#13;QQ=="),
        ('mediaType="application/pdf" representation="B64"', "<![CDATA[QUJDQQ]]>"),
        ('mediaType="application/pdf"', "QUJDQUI"),
        ('mediaType="text/plain"', "Pas du Base64 !"),
        ('mediaType="TEXT/RTF"', "Pas du Base64 !"),
        ('mediaType="text/rtf" representation="TXT"', "{\\rtf1 é}"),
        ("", "Texte"),
    ],
)
def test_an_unstructured_body_keeps_its_media_type(attributes: str, payload: str) -> None:
    header = read_header(_with_payload(attributes, payload))
    assert not header.structured
    assert header.body_media_type == (attributes.split('"')[1] if attributes else "")


def test_a_mention_of_a_record_target_in_the_body_is_not_a_patient() -> None:
    document = changed(STRUCTURED.body, "<paragraph>", "<!-- recordTarget --><paragraph>recordTarget &lt;recordTarget&gt; ")
    assert read_header(document) == read_header(STRUCTURED.body)


def in_stylesheet(document: bytes) -> bytes:
    """The same document as an auto-presentable one."""
    opening = b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><x:content xmlns:x="urn:example">'
    template = b'</x:content><xsl:template match="/"><xsl:value-of select="//recordTarget"/></xsl:template></xsl:stylesheet>'
    return opening + document.split(b"?>\n", 1)[1] + template


def _with_payload(attributes: str, payload: str) -> bytes:
    start = UNSTRUCTURED.body.index(b"<text ")
    end = UNSTRUCTURED.body.index(b"</text>")
    return UNSTRUCTURED.body[:start] + f"<text {attributes}>{payload}".encode() + UNSTRUCTURED.body[end:]


def _assert_agrees(header: HeaderExtract, document: SyntheticDocument) -> None:
    identity = document.identity
    assert (header.id, header.set_id, header.version_number) == (document.identifier, document.set_id, document.version_number)
    assert (header.type, header.title) == (document.type, document.title)
    assert header.effective_time == f"{document.written_at:%Y%m%d%H%M%S%z}"
    assert header.patient_ids == (
        Identifier(root=identity.ins_oid, extension=identity.ins),
        Identifier(root=identity.local_id_authority, extension=identity.local_id),
    )
    assert header.patient_families[0] == PersonName(value=identity.birth_family_name, qualifier="BR")
    assert PersonName(value=identity.first_birth_given_name, qualifier="BR") in header.patient_givens
    assert PersonName(value=identity.given_names) in header.patient_givens
    assert (header.patient_sex, header.patient_birth_time, header.patient_birth_place) == (
        identity.sex,
        identity.birth_date,
        identity.birth_place,
    )
    author = header.authors[0]
    assert author.identifier.extension == document.professional.identifier
    assert (author.family, author.given) == (document.professional.family_name, document.professional.given_name)
    assert author.organisation_id.extension == document.professional.organisation
