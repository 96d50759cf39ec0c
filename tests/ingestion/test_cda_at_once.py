"""Attacks the short way to a header: it may say nothing, but what it says must be what the watchful reader says."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relais.contracts.header import Code, HeaderExtract, Identifier, Person, ServiceEvent
from relais.ingestion.cda import RefusalCode, limits, read_header
from relais.ingestion.cda.at_once import HEADER_BYTES_MAXIMUM, HEADER_TAGS_MAXIMUM, read_at_once
from relais.ingestion.cda.extract import json_bytes_at_most
from relais.sandbox.cda import Kind, generate
from tests.ingestion.given_cda import STRUCTURED, UNSTRUCTURED, answer, changed, refusal
from tests.ingestion.test_cda_fuzz import mutated_documents, rearranged_documents

_DOCUMENTS = [generate(seed, kind=kind, size_bytes=9000).body for seed in range(3) for kind in Kind]
_TARGET = "<recordTarget><patientRole><id root='1.2' extension='3'/><patient/></patientRole></recordTarget>"
_DEVICE = "<assignedAuthoringDevice><softwareName>NOT HERE</softwareName></assignedAuthoringDevice>"
_ATTRIBUTES = " ".join(f'a{number}=""' for number in range(limits.ATTRIBUTES_MAXIMUM + 1))
# What stands at a tag and stays well-formed there, most of it: each attacks one of the proofs.
_WHOLE_FRAGMENTS = [
    _TARGET, _DEVICE, "<recordTarget/>", f"<x {_ATTRIBUTES}/>", f"<id {_ATTRIBUTES}/>", "<x>" * 30 + "</x>" * 30,
    "<x>" * 600 + "</x>" * 600,
    "<!-- <component> -->", "<x><component ></component></x>", "<component><structuredBody/></component>", "<![CDATA[<component>]]>",
    "<?p <component>?>", "<!-- recordTarget -->", "<title>a<b>c</b>d</title>", "<name>a<b>c</b>d</name>", "<component/>",
    "<c:component xmlns:c='urn:hl7-org:v3'><c:structuredBody/></c:component>",
    "<text mediaType='a/b' representation='B64'>QUJD</text>", "<nonXMLBody/>", "<y:id xmlns:y='urn:hl7-org:v3' root='7'/>",
    "<x xmlns='urn:x'><recordTarget/></x>", "<x a='>'/>", "]]", "&#61;", "<!---->", "\r\n",
]  # fmt: skip


@st.composite
def _documents_with_whole_fragments(draw: st.DrawFn) -> bytes:
    """A document with one or two fragments put where a tag begins, as often in its header as behind it."""
    document = draw(st.sampled_from(_DOCUMENTS))
    pieces = re.split(rb"(?=<)", document)
    component = next(index for index, piece in enumerate(pieces) if piece.startswith(b"<component>"))
    for _ in range(draw(st.integers(1, 2))):
        index = draw(st.one_of(st.integers(2, component), st.integers(component, len(pieces))))
        pieces.insert(index, draw(st.sampled_from(_WHOLE_FRAGMENTS)).encode())
    return b"".join(pieces)


@settings(max_examples=400)
@given(st.one_of(mutated_documents(), rearranged_documents(), _documents_with_whole_fragments()))
def test_the_short_way_says_what_the_watchful_reader_says_or_nothing(document: bytes) -> None:
    assert read_at_once(document) in (None, answer(document))


@pytest.mark.parametrize("document", [STRUCTURED.body, UNSTRUCTURED.body, *_DOCUMENTS])
def test_usual_documents_take_the_short_way(document: bytes) -> None:
    assert read_at_once(document) == answer(document)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("<component>", '<component a=">">', id="a tag that looks over before it is"),
        pytest.param("<component>", "<component\n>", id="a blank in the tag"),
        pytest.param("<text ", '<text a=">" ', id="the same in the tag of the payload"),
        pytest.param("JVBER", "<![CDATA[JVBER]]>", id="a section in the payload"),
        pytest.param("JVBER", "<!-- -->JVBER", id="a comment in the payload"),
        pytest.param("JVBER", "\r\nJ&#86;BE\r\nR", id="a reference in the payload"),
        pytest.param("<legalAuthenticator>", "<x/><legalAuthenticator>", id="an element of no place"),
        pytest.param("</assignedEntity>", f"{_DEVICE}</assignedEntity>", id="a device of no place"),
        pytest.param("</title>", "<x> and <y>more</y></x></title>", id="markup in a text"),
        pytest.param("<author>", "<!-- <component> --><author>", id="a component in a comment"),
        pytest.param("<author>", "<x><component> </component></x><author>", id="a component of no place"),
        pytest.param("<author>", f"<!--{' ' * HEADER_BYTES_MAXIMUM}--><author>", id="a long header"),
        pytest.param("<author>", "<x/>" * HEADER_TAGS_MAXIMUM + "<author>", id="many tags"),
        pytest.param("<author>", f"<x {_ATTRIBUTES}/><author>", id="many attributes"),
    ],
)
def test_an_unusual_document_is_read_all_the_same(old: str, new: str) -> None:
    document = changed(UNSTRUCTURED.body, old, new)
    assert isinstance(answer(document), HeaderExtract)
    assert read_header(document) == answer(document)


@pytest.mark.parametrize("payload", ["QUJDRA==", "QUJDRA", "QUJD\r\nRA==\n", " QUJD ", "QUJD="])
def test_a_payload_gets_one_answer_with_and_without_the_parser(payload: str) -> None:
    document = re.sub(rb'(?<=B64">)[^<]*', payload.encode(), UNSTRUCTURED.body)
    with_the_parser = document.replace(b'B64">', b'B64"><!-- -->')
    assert answer(document) == answer(with_the_parser)
    assert read_at_once(document) == read_at_once(with_the_parser)
    assert (read_at_once(document) is None) == (payload == "QUJD=")


@given(st.integers(0, 200), st.sampled_from(["", '"', "\\", "é", "\n"]), st.sampled_from(["ids", "names", "persons", "events"]))
def test_the_bound_of_the_extract_holds(count: int, character: str, item: str) -> None:
    value = character.replace("\n", "&#10;")
    old, new = {
        "ids": ("<patientRole>", f"<patientRole>{f'''<id root='{value}x'/>''' * count}"),
        "names": ("<name>", f"<name>{f'<given>{value}x</given>' * count}"),
        "persons": ("<author>", f"{f'<author><time value={chr(39)}{value}{chr(39)}/></author>' * count}<author>"),
        "events": ("<documentationOf>", "<documentationOf><serviceEvent/></documentationOf>" * count + "<documentationOf>"),
    }[item]
    document = changed(STRUCTURED.body, old, new)
    said = answer(document)
    header_bytes = document.index(b"<component>") - document.index(b"<ClinicalDocument")
    if isinstance(said, HeaderExtract):
        encoded_bytes = len(msgspec.json.encode(said))
        assert encoded_bytes <= limits.EXTRACT_BYTES_MAXIMUM
        assert encoded_bytes <= json_bytes_at_most(said, header_bytes)
    else:
        assert said == (RefusalCode.HEADER_TOO_LARGE, "ClinicalDocument")


def test_the_bound_has_room_for_what_json_has_around_values() -> None:
    code = Code(code="")
    person = Person(specialty=code, organisation_industry=code)
    event = ServiceEvent(code=code, performer=person)
    empty = HeaderExtract(
        id=Identifier(), set_id=Identifier(), version_number=0, type=code, confidentiality=code, facility=code, encounter_code=code
    )
    full = msgspec.structs.replace(empty, authors=(person,) * 9, legal_authenticator=person, service_events=(event,) * 9)
    for extract in (empty, full):
        assert len(msgspec.json.encode(extract)) <= json_bytes_at_most(extract, 0)


def test_the_limit_of_the_extract_is_exact() -> None:
    def with_telecoms(last_characters: int) -> bytes:
        telecoms = "".join(f"<telecom value='{'x' * length}'/>" for length in [*[2000] * 14, last_characters])
        return changed(STRUCTURED.body, "<patient>", f"{telecoms}<patient>")

    fitting = 1 + limits.EXTRACT_BYTES_MAXIMUM - len(msgspec.json.encode(read_header(with_telecoms(1))))
    assert 0 < fitting < limits.FIELD_CHARACTERS_MAXIMUM
    assert len(msgspec.json.encode(read_header(with_telecoms(fitting)))) == limits.EXTRACT_BYTES_MAXIMUM
    assert refusal(with_telecoms(fitting + 1)) == (RefusalCode.HEADER_TOO_LARGE, "ClinicalDocument")


def test_the_limits_of_the_short_way_lie_within_those_of_the_reader() -> None:
    assert HEADER_BYTES_MAXIMUM <= limits.HEADER_BYTES_MAXIMUM
    assert HEADER_TAGS_MAXIMUM <= limits.HEADER_ELEMENTS_MAXIMUM
    levels = (HEADER_TAGS_MAXIMUM - 40) // 2
    deep = changed(STRUCTURED.body, "<recordTarget>", "<x>" * levels + "</x>" * levels + "<recordTarget>")
    assert read_at_once(deep) in (None, answer(deep))
