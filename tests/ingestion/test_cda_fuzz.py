"""Fuzzes the header reader: whatever the bytes, it gives a header or a refusal, the same in any cuts, and never a wrong patient.

lxml, which the product's reader never uses, is asked about every mutated document that is taken in: a second parser must
find it well-formed, with one record target, and the same patient in it.
"""

import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from relais.contracts.header import HeaderExtract, Identifier
from relais.ingestion.cda import read_header
from relais.sandbox.cda import Kind, generate
from tests.ingestion.given_cda import Answer, answer, answer_in_pieces, changed

_DOCUMENTS = [generate(seed, kind=kind, size_bytes=9000).body for seed in range(3) for kind in Kind]
_TARGET = "<recordTarget><patientRole><id root='1.2' extension='3'/><patient/></patientRole></recordTarget>"
_FRAGMENTS = [
    "<", ">", "/>", "</", "&", "]]>", "<![CDATA[", "<!--", "-->", "<?", "?>", "<!DOCTYPE x>", "&amp;", "&#0;", "&x;", '"', "'", "\0",
    "\ufeff", "<id root='9'/>", "<component>", "</component>", "<recordTarget>", "</recordTarget>", _TARGET, "xmlns=''", "é", "\u202e",
    "<c:id xmlns:c='urn:hl7-org:v3' root='8'/>", "<x xmlns=''>", "</x>", "<ClinicalDocument>", "</ClinicalDocument>", "<structuredBody>",
    "<nonXMLBody>", "=",
]  # fmt: skip
# lxml also has an opinion on the URI of a namespace, which XML leaves alone.
_NOT_ABOUT_XML = {etree.ErrorTypes.WAR_NS_URI, etree.ErrorTypes.WAR_NS_URI_RELATIVE, etree.ErrorTypes.NS_ERR_XML_NAMESPACE}
# What XML 1.0 lets stand in a document; of these a carriage return is read as a line feed.
_XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff\r").filter(lambda c: c in "\t\n" or c >= " "), max_size=60
)


@st.composite
def mutated_documents(draw: st.DrawFn) -> bytes:
    """A valid document after a few blows: fragments put in, stretches cut out, doubled or moved, bytes changed."""
    document = bytearray(draw(st.sampled_from(_DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(document)))
        end = min(len(document), start + draw(st.integers(0, 300)))
        blow = draw(st.sampled_from(["insert", "delete", "double", "move", "byte"]))
        stretch = bytes(document[start:end])
        if blow == "insert":
            document[start:start] = draw(st.sampled_from(_FRAGMENTS)).encode()
        elif blow == "double":
            document[start:start] = stretch
        elif blow == "byte":
            document[start : start + 1] = bytes([draw(st.integers(0, 255))])
        else:
            del document[start:end]
        if blow == "move":
            place = draw(st.integers(0, len(document)))
            document[place:place] = stretch
    return bytes(document)


@st.composite
def rearranged_documents(draw: st.DrawFn) -> bytes:
    """A document that stays well-formed: whole elements of its header left out, doubled or moved, a target put anywhere."""
    document = draw(st.sampled_from(_DOCUMENTS))
    pieces = [piece for piece in re.split(rb"(?=<)", document) if piece]
    for _ in range(draw(st.integers(1, 3))):
        empties = [index for index, piece in enumerate(pieces) if piece.rstrip().endswith(b"/>")]
        index = draw(st.sampled_from(empties))
        blow = draw(st.sampled_from(["delete", "double", "move", "target"]))
        if blow == "double":
            pieces.insert(index, pieces[index])
        elif blow == "target":
            pieces.insert(index, _TARGET.encode())
        else:
            piece = pieces.pop(index)
            if blow == "move":
                pieces.insert(draw(st.integers(3, len(pieces) - 1)), piece)
    return b"".join(pieces)


@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf<\xff")
def test_random_bytes_are_refused_and_nothing_else_happens(document: bytes) -> None:
    assert not isinstance(answer(document), HeaderExtract)


@given(st.text(st.sampled_from("<>/!?-[]&;=\"' abc:\n"), max_size=200))
def test_random_markup_is_refused_and_nothing_else_happens(document: str) -> None:
    assert not isinstance(answer(document.encode()), HeaderExtract)


@settings(max_examples=300)
@given(mutated_documents(), st.data())
def test_a_mutated_document_gets_one_answer_in_any_cuts(document: bytes, data: st.DataObject) -> None:
    whole = answer(document)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=6)))
    pieces = [document[start:end] for start, end in zip([0, *cuts], [*cuts, len(document)], strict=True)]
    assert answer_in_pieces(pieces) == whole
    _assert_a_second_parser_agrees(document, whole)


@settings(max_examples=300)
@given(rearranged_documents())
def test_a_rearranged_document_never_changes_its_patient(document: bytes) -> None:
    _assert_a_second_parser_agrees(document, answer(document))


@given(_XML_TEXT)
def test_a_name_is_read_back_as_it_was_written(name: str) -> None:
    document = generate(1, size_bytes=9000)
    escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    header = read_header(changed(document.body, f">{document.identity.given_names}<", f">{escaped}<"))
    written = name.strip(" \t\n")
    assert [given.value for given in header.patient_givens if not given.qualifier] == ([written] if written else [])


def _assert_a_second_parser_agrees(document: bytes, said: Answer) -> None:
    if not isinstance(said, HeaderExtract):
        return
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    root = etree.fromstring(document, parser)
    assert {error.type for error in parser.error_log} <= _NOT_ABOUT_XML
    found: Any = root.xpath("//c:recordTarget", namespaces={"c": "urn:hl7-org:v3"})
    assert len(found) == 1
    ids: Any = root.xpath("/c:ClinicalDocument/c:recordTarget/c:patientRole/c:id", namespaces={"c": "urn:hl7-org:v3"})
    read = [(element.get("root", "").strip(" "), element.get("extension", "").strip(" ")) for element in ids]
    assert said.patient_ids == tuple(Identifier(root=root, extension=extension) for root, extension in read if root or extension)
