"""Attacks the door: every bad document is refused with the code and place that name its fault, and never with its content."""

import re
import traceback
from xml.parsers import expat

import pytest

from relais.ingestion.cda import CdaReader, DocumentRefused, RefusalCode, limits, read_header
from relais.sandbox.cda import generate
from tests.ingestion.given_cda import STRUCTURED, UNSTRUCTURED, answer, changed, refusal

_BODY = STRUCTURED.body
_ROOT = '<ClinicalDocument xmlns="urn:hl7-org:v3">'
_ID = f'<id root="{STRUCTURED.identifier.root}"/>'
_LAUGHS = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 12))
_LATIN_1 = _BODY.decode().replace("UTF-8", "ISO-8859-1").encode("iso-8859-1")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        pytest.param(b"", RefusalCode.NOT_XML, id="nothing"),
        pytest.param(b"\xef\xbb\xbf \r\n", RefusalCode.NOT_XML, id="blanks"),
        pytest.param(b"MSH|^~\\&|A|B", RefusalCode.NOT_XML, id="hl7 v2"),
        pytest.param(b"%PDF-1.4\n", RefusalCode.NOT_XML, id="pdf"),
        pytest.param(b"<a><b></a></b>", RefusalCode.WRONG_ROOT, id="wrong root before all else"),
        pytest.param(changed(_BODY, "</title>", "</titre>"), RefusalCode.NOT_XML, id="crossed tags"),
        pytest.param(changed(_BODY, "<component>", '<component a="1" a="2">'), RefusalCode.NOT_XML, id="attribute twice"),
        pytest.param(changed(_BODY, "<section>", "<unbound:section/><section>"), RefusalCode.NOT_XML, id="unbound prefix"),
        pytest.param(changed(_BODY, '"1.0"', '"1.1"'), RefusalCode.NOT_XML, id="xml 1.1"),
        pytest.param(changed(_BODY, "<paragraph>", "<paragraph>\x0b"), RefusalCode.NOT_XML, id="control character"),
        pytest.param(changed(_BODY, "<paragraph>", "<paragraph>\ufffe"), RefusalCode.NOT_XML, id="not a character"),
        pytest.param(_BODY + b"<ClinicalDocument/>", RefusalCode.NOT_XML, id="two roots"),
        pytest.param(_BODY[:3000], RefusalCode.TRUNCATED, id="cut in the header"),
        pytest.param(_BODY[:15_000], RefusalCode.TRUNCATED, id="cut in the body"),
        pytest.param(_BODY[:-3], RefusalCode.TRUNCATED, id="cut in the last tag"),
        pytest.param(_BODY[: _BODY.index("é".encode()) + 1], RefusalCode.TRUNCATED, id="cut in a character"),
        pytest.param(_LATIN_1, RefusalCode.WRONG_ENCODING, id="latin 1"),
        pytest.param(_LATIN_1.replace(b"ISO-8859-1", b"UTF-8"), RefusalCode.WRONG_ENCODING, id="latin 1 that says utf 8"),
        pytest.param(changed(_BODY, "UTF-8", "windows-1252"), RefusalCode.WRONG_ENCODING, id="utf 8 that says it is not"),
        pytest.param(_BODY.decode().encode("utf-16"), RefusalCode.WRONG_ENCODING, id="utf 16"),
        pytest.param(_BODY.decode().encode("utf-16-be"), RefusalCode.WRONG_ENCODING, id="utf 16 without a mark"),
        pytest.param(_BODY.decode().encode("utf-32-le"), RefusalCode.WRONG_ENCODING, id="utf 32"),
        pytest.param(_BODY.replace(b"Remarque", b"\xed\xa0\x80"), RefusalCode.WRONG_ENCODING, id="surrogate"),
        pytest.param(changed(_BODY, "?>\n", "?>\n<!DOCTYPE ClinicalDocument>"), RefusalCode.DTD_FORBIDDEN, id="doctype"),
        pytest.param(
            changed(_BODY, "?>\n", '?>\n<!DOCTYPE x SYSTEM "file:///etc/passwd">'), RefusalCode.DTD_FORBIDDEN, id="external dtd"
        ),
        pytest.param(
            changed(_BODY, "?>\n", f'?>\n<!DOCTYPE x [<!ENTITY l0 "l">{_LAUGHS}]>').replace(b"Remarque", b"&l11;"),
            RefusalCode.DTD_FORBIDDEN,
            id="billion laughs",
        ),
        pytest.param(
            changed(_BODY, "?>\n", '?>\n<!DOCTYPE x [<!ENTITY % p SYSTEM "http://example.test/">%p;]>'),
            RefusalCode.DTD_FORBIDDEN,
            id="parameter entity",
        ),
        pytest.param(changed(_BODY, "<paragraph>", "<paragraph>&nbsp;"), RefusalCode.DTD_FORBIDDEN, id="entity without a dtd"),
    ],
)  # fmt: skip
def test_what_is_not_plain_utf_8_xml_is_refused(document: bytes, code: RefusalCode) -> None:
    assert refusal(document) == (code, "")


@pytest.mark.parametrize(
    "document",
    [
        b"<html/>",
        b"<ClinicalDocument/>",
        b'<ClinicalDocument xmlns="urn:hl7-org:v2"/>',
        b'<x:clinicaldocument xmlns:x="urn:hl7-org:v3"/>',
        b'<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template/></xsl:stylesheet>',
        b'<stylesheet xmlns="urn:hl7-org:v3"><ClinicalDocument/></stylesheet>',
    ],
)
def test_another_root_is_refused(document: bytes) -> None:
    assert refusal(document) == (RefusalCode.WRONG_ROOT, "")


_ANOTHER_TARGET = '<recordTarget><patientRole><id root="1.2" extension="3"/><patient/></patientRole></recordTarget>'
_TARGETS = (RefusalCode.MULTIPLE_RECORD_TARGETS, "ClinicalDocument/recordTarget")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(changed(_BODY, "<recordTarget>", f"{_ANOTHER_TARGET}<recordTarget>"), id="before"),
        pytest.param(changed(_BODY, "</recordTarget>", f"</recordTarget>{_ANOTHER_TARGET}"), id="after"),
        pytest.param(changed(_BODY, "</patientRole>", "</patientRole><patientRole/>"), id="two roles"),
        pytest.param(changed(_BODY, "<patient>", f"{_ANOTHER_TARGET}<patient>"), id="inside the first"),
        pytest.param(changed(_BODY, "<relatedEntity", f"{_ANOTHER_TARGET}<relatedEntity"), id="inside a relative"),
        pytest.param(changed(_BODY, "</ClinicalDocument>", f"{_ANOTHER_TARGET}</ClinicalDocument>"), id="after the body"),
        pytest.param(changed(_BODY, "<entry>", f"{_ANOTHER_TARGET}<entry>"), id="in the body"),
        pytest.param(changed(_BODY, "<entry>", '<v3:recordTarget xmlns:v3="urn:hl7-org:v3"/><entry>'), id="under a prefix"),
        pytest.param(changed(UNSTRUCTURED.body, "</nonXMLBody>", f"</nonXMLBody>{_ANOTHER_TARGET}"), id="beside a pdf"),
        pytest.param(
            changed(_BODY, "</ClinicalDocument>", f"{' ' * limits.BLOCK_BYTES}{_ANOTHER_TARGET}</ClinicalDocument>"), id="far away"
        ),
    ],
)
def test_a_second_patient_is_refused_wherever_it_stands(document: bytes) -> None:
    assert refusal(document) == _TARGETS


_PATIENT_PATH = "recordTarget/patientRole/patient"


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        (_ID, "", RefusalCode.DOCUMENT_ID_MISSING, "id/@root"),
        (_ID, '<id nullFlavor="UNK"/>', RefusalCode.DOCUMENT_ID_MISSING, "id/@root"),
        (_ID, '<id extension="1"/>', RefusalCode.FIELD_MALFORMED, "id/@root"),
        (_ID, '<id root="1.2^3" extension="4"/>', RefusalCode.FIELD_MALFORMED, "id/@root"),
        (_ID, '<id root="1.2.é"/>', RefusalCode.FIELD_MALFORMED, "id/@root"),
        (_ID, _ID + _ID, RefusalCode.ELEMENT_REPEATED, "id"),
        ('<code code="11502-2"', "<code", RefusalCode.TYPE_CODE_MISSING, "code/@code"),
        ('<code code="11502-2"', '<code code=" "', RefusalCode.TYPE_CODE_MISSING, "code/@code"),
        ("<setId ", '<setId root="1.2"/><setId ', RefusalCode.ELEMENT_REPEATED, "setId"),
        (
            "<confidentialityCode",
            '<confidentialityCode code="R"/><confidentialityCode',
            RefusalCode.ELEMENT_REPEATED,
            "confidentialityCode",
        ),
        ('<versionNumber value="1"', '<versionNumber value="1.0"', RefusalCode.FIELD_MALFORMED, "versionNumber/@value"),
        ('<versionNumber value="1"', '<versionNumber value="٣"', RefusalCode.FIELD_MALFORMED, "versionNumber/@value"),
        ("<birthTime", '<birthTime value="20000101"/><birthTime', RefusalCode.ELEMENT_REPEATED, f"{_PATIENT_PATH}/birthTime"),
        ("</patient>", "</patient><patient/>", RefusalCode.ELEMENT_REPEATED, _PATIENT_PATH),
        ("<title>", f"<title>{'t' * 2048}", RefusalCode.FIELD_TOO_LONG, "title"),
        ("<setId ", f'<setId extension="{" " * 2049}" ', RefusalCode.FIELD_TOO_LONG, "setId/@extension"),
    ],
)
def test_a_header_that_lacks_doubles_or_misspells_a_field_is_refused(old: str, new: str, code: RefusalCode, field: str) -> None:
    assert refusal(changed(_BODY, old, new)) == (code, f"ClinicalDocument/{field}")


@pytest.mark.parametrize(
    ("pattern", "field"),
    [
        (rb"<recordTarget>.*</recordTarget>", "recordTarget"),
        (rb"<patientRole>.*</patientRole>", "recordTarget"),
        (rb"<patient>.*</patient>", _PATIENT_PATH),
        (rb"(?<=<patientRole>)\s*<id [^>]*>\s*<id [^>]*>", "recordTarget/patientRole/id"),
    ],
)
def test_a_document_without_a_patient_is_refused(pattern: bytes, field: str) -> None:
    assert refusal(_without(pattern, _BODY)) == (RefusalCode.PATIENT_MISSING, f"ClinicalDocument/{field}")


_AUTHOR = f'<author><assignedAuthor><id root="{"9" * 100}"/></assignedAuthor></author>'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("<author>", "<templateId/>" * 5000 + "<author>", id="elements"),
        pytest.param("<author>", f"<!--{' ' * 600_000}-->" * 2 + "<author>", id="bytes"),
        pytest.param("<author>", _AUTHOR * 400 + "<author>", id="values"),
        pytest.param("<recordTarget", "<recordTarget " + " ".join(f'a{number}=""' for number in range(65)), id="attributes"),
    ],
)
def test_a_header_too_large_to_keep_is_refused(old: str, new: str) -> None:
    assert refusal(changed(_BODY, old, new)) == (RefusalCode.HEADER_TOO_LARGE, "ClinicalDocument")


@pytest.mark.parametrize("replacement", [b"", b"<component/>", b"<component><text/></component>", b"<component/><component/>"])
def test_a_document_without_a_body_is_refused(replacement: bytes) -> None:
    bodiless = re.sub(rb"<component>.*</component>", replacement, _BODY, flags=re.DOTALL)
    assert refusal(bodiless) == (RefusalCode.BODY_MISSING, "ClinicalDocument/component")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("</text>", '<reference value="http://example.test"/></text>', RefusalCode.BODY_MISSING),
        ("</text>", "</text><text/>", RefusalCode.ELEMENT_REPEATED),
        ("</text>", "A</text>", RefusalCode.BAD_BASE64),
        ("</text>", "====</text>", RefusalCode.BAD_BASE64),
        ("JVBER", "JVB*R", RefusalCode.BAD_BASE64),
        ("JVBER", "JVBÉR", RefusalCode.BAD_BASE64),
        ("JVBER", "=JVBER", RefusalCode.BAD_BASE64),
        ("JVBER", "&lt;JVBER", RefusalCode.BAD_BASE64),
    ],
)
def test_a_payload_that_would_not_decode_is_refused(old: str, new: str, code: RefusalCode) -> None:
    assert refusal(changed(UNSTRUCTURED.body, old, new)) == (code, "ClinicalDocument/component/nonXMLBody/text")


@pytest.mark.parametrize(
    ("pattern", "code"), [(rb"<text .*</text>", RefusalCode.BODY_MISSING), (rb"(?<=B64\">).*(?=</text>)", RefusalCode.BAD_BASE64)]
)
def test_a_payload_that_is_not_there_is_refused(pattern: bytes, code: RefusalCode) -> None:
    assert refusal(_without(pattern, UNSTRUCTURED.body)) == (code, "ClinicalDocument/component/nonXMLBody/text")


@pytest.mark.parametrize("place", ["<author>", "<entry>", "</ClinicalDocument>"])
def test_ten_thousand_levels_are_refused(place: str) -> None:
    deep = changed(_BODY, place, "<x>" * 10_000 + "</x>" * 10_000 + place)
    assert refusal(deep) == (RefusalCode.TOO_DEEP, "")


@pytest.mark.parametrize("padding", [0, limits.BLOCK_BYTES])
@pytest.mark.parametrize(("place", "opened"), [("<recordTarget>", 1), ("<patient>", 3), ("<entry>", 5)])
def test_the_depth_limit_is_exact_whatever_path_checks_it(place: str, opened: int, padding: int) -> None:
    def nested(levels: int) -> bytes:
        return changed(_BODY, place, "<x>" * (levels - 1) + "<x/>" + "</x>" * (levels - 1) + place) + b" " * padding

    assert answer(nested(limits.DEPTH_MAXIMUM - opened)) == read_header(_BODY)
    assert refusal(nested(limits.DEPTH_MAXIMUM - opened + 1)) == (RefusalCode.TOO_DEEP, "")


def test_a_stylesheet_is_held_to_the_same_depth_and_to_one_document() -> None:
    inner = _BODY.split(b"?>\n", 1)[1]
    opening, closing = b'<x:stylesheet xmlns:x="http://www.w3.org/1999/XSL/Transform">', b"</x:stylesheet>"
    deep = b"<x:a>" * limits.DEPTH_MAXIMUM + b"</x:a>" * limits.DEPTH_MAXIMUM
    assert refusal(opening + deep + inner + closing) == (RefusalCode.TOO_DEEP, "")
    assert refusal(opening + inner + deep + closing) == (RefusalCode.TOO_DEEP, "")
    assert refusal(opening + inner + inner + closing) == (RefusalCode.ELEMENT_REPEATED, "ClinicalDocument")


@pytest.mark.parametrize(
    ("old", "new"), [("11502-2", "34105-7"), ("11502-2", "11502-2 bis"), ("2.16.840.1.113883.6.1", "2.16.840.1.113883.6.96")]
)
def test_a_type_outside_j07_is_refused_at_the_door(old: str, new: str) -> None:
    document = changed(_BODY, f'="{old}"', f'="{new}"')
    assert refusal(document) == (RefusalCode.TYPE_CODE_UNKNOWN, "ClinicalDocument/code/@code")


def test_a_refusal_never_repeats_what_it_refuses() -> None:
    canary = "CANARI"
    spoilt = [
        changed(_BODY, "<title>", f"<title>&{canary};"),
        changed(_BODY, "</title>", f"</{canary}>"),
        changed(_BODY, _ID, f'<id root="{canary}^"/>'),
        changed(_BODY, '<versionNumber value="1"', f'<versionNumber value="{canary}"'),
        changed(_BODY, "<title>", f"<title>{canary * 400}"),
        changed(UNSTRUCTURED.body, "JVBER", f"{canary}É"),
        changed(UNSTRUCTURED.body, "</text>", f"<{canary}/></text>"),
        f'<{canary} xmlns="urn:{canary}"/>'.encode(),
    ]
    for document in spoilt:
        with pytest.raises(DocumentRefused) as refused:
            read_header(document)
        said = "".join(traceback.format_exception_only(refused.value)) + repr(refused.value) + str(refused.value.__dict__)
        assert canary not in said
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_the_parser_below_has_the_protections_relied_upon() -> None:
    # 2.4.1 bounds what entities may grow to, 2.4.5 refuses a namespace that holds the separator of names.
    assert expat.version_info >= (2, 4, 5)
    assert refusal(changed(_BODY, '"urn:hl7-org:v3"', '"urn:hl7-org:v3 ClinicalDocument"')) == (RefusalCode.NOT_XML, "")


def test_a_reader_that_refused_goes_on_refusing() -> None:
    reader = CdaReader()
    with pytest.raises(DocumentRefused):
        reader.feed(changed(_BODY, "<recordTarget>", "<!---->" + _ANOTHER_TARGET + "<recordTarget>") + b" " * limits.BLOCK_BYTES * 2)
    for again in (lambda: reader.feed(b" "), reader.close):
        with pytest.raises(DocumentRefused) as refused:
            again()
        assert (refused.value.code, refused.value.field) == _TARGETS
    assert answer(generate(3).body) == read_header(generate(3).body)


def _without(pattern: bytes, document: bytes) -> bytes:
    remaining, count = re.subn(pattern, b"", document, flags=re.DOTALL)
    assert count == 1
    return remaining
