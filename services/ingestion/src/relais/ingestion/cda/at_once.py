"""The short way to the header of a document that is here whole: no line of Python runs for the tags of its header.

`CdaReader` holds each tag to the rules as it passes. Here the parser's events build the tree of the header in C, and the
rules are proven afterwards, on the tree and on the bytes. Where one is not proven, or anything is wrong, nothing is said: the
document is then read by `CdaReader`, which alone refuses. So the two ways can only disagree where a proof below is wrong, and
the tests hold them to each other. From `component` on, the same `BodyHandlers` watch on both ways.
"""

import re
from operator import attrgetter
from typing import Final
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

import msgspec

from relais.contracts.header import HeaderExtract
from relais.ingestion.cda import limits
from relais.ingestion.cda.block import Block
from relais.ingestion.cda.body import BodyHandlers
from relais.ingestion.cda.extract import extract_header
from relais.ingestion.cda.handlers import watch_prolog
from relais.ingestion.cda.refusal import DocumentRefused
from relais.ingestion.cda.shape import CLINICAL_DOCUMENT, COMPONENT_NAME, NAMESPACE_SEPARATOR
from relais.ingestion.cda.type_codes import refuse_unknown_type

HEADER_BYTES_MAXIMUM: Final = 128 * 1024
"""Before the body: what else bounds the tree is known only when it is built. Under `limits.HEADER_BYTES_MAXIMUM`."""

HEADER_TAGS_MAXIMUM: Final = 2 * (limits.DEPTH_MAXIMUM - 2)
"""Start, end and empty-element tags. Under `limits.HEADER_ELEMENTS_MAXIMUM`, so there are not too many elements either."""

_COMPONENT_TAG: Final = re.compile(rb"<component[ \t\r\n>]")
_PAYLOAD_TAGS: Final = re.compile(rb"<component[^<>]*>\s*<nonXMLBody[^<>]*>\s*<text[^<>]*>")
_EMPTY_TAG_END: Final = b"/>"
_RECORD_TARGET_BYTES: Final = b"recordTarget"
_ATTRIBUTES_OF: Final = attrgetter("attrib")


class _InDoubt(Exception):
    """Something about the document is not proven here."""


def read_at_once(document: bytes) -> HeaderExtract | None:
    """The header of a whole document of the usual shape with nothing wrong in it; None says nothing about the document."""
    component = _COMPONENT_TAG.search(document, 0, HEADER_BYTES_MAXIMUM)
    if component is None or len(document) > limits.BLOCK_BYTES or not _tags_are_harmless(document, component.start()):
        return None
    reading = _Reading(document, component.start())
    try:
        try:
            return reading.read()
        finally:
            reading.release()  # Text that was still held back is handed over here, and may be refused as well.
    except (_InDoubt, DocumentRefused, expat.ExpatError):
        return None


def _tags_are_harmless(document: bytes, end: int) -> bool:
    """Whether the bytes before `end` prove that no tag needs watching, if they leave one element open and no more.

    Of the elements that are closed, each level but the deepest takes two tags, and the open one takes one: there are at most
    two levels more than half the tags. And no name can be written but by its own bytes: a record target that holds a patient
    has both its tags, so where the name stands twice, there is no other.
    """
    return document.count(b"<", 0, end) <= HEADER_TAGS_MAXIMUM and document.count(_RECORD_TARGET_BYTES, 0, end) <= 2


class _Reading:
    """One document on its way through the parser; `header_end` is where its component seems to begin."""

    def __init__(self, document: bytes, header_end: int) -> None:
        self._document = document
        self._header_end = header_end
        # Without a dictionary of the names met, which only streaming needs for its limits.
        self._parser = expat.ParserCreate("utf-8", NAMESPACE_SEPARATOR, None)
        self._tree = TreeBuilder()
        self._header: HeaderExtract | None = None
        self._body: BodyHandlers | None = None

    def read(self) -> HeaderExtract:
        """The header, once the whole document is known to be well-formed. Raises _InDoubt, DocumentRefused, ExpatError."""
        parser = self._parser
        watch_prolog(parser)
        parser.buffer_text = True
        parser.StartElementHandler = self._tree.start
        parser.EndElementHandler = self._tree.end
        parser.CharacterDataHandler = self._tree.data
        with memoryview(self._document) as document:
            parser.Parse(document[: self._header_end], False)
            parser.StartElementHandler = self._start_component
            parser.Parse(document[self._parse_payload(document) :], True)
        if self._header is None or self._body is None:
            raise _InDoubt
        media_type = self._body.finish()
        if media_type is None:
            return self._header
        return msgspec.structs.replace(self._header, structured=False, body_media_type=media_type)

    def release(self) -> None:
        """Take all handlers off the parser: they know each other, and would wait for the collector."""
        parser = self._parser
        parser.XmlDeclHandler = None
        parser.StartDoctypeDeclHandler = None
        parser.StartElementHandler = None
        parser.EndElementHandler = None
        parser.CharacterDataHandler = None

    def _start_component(self, name: str, attributes: dict[str, str]) -> None:
        """The first tag after the header. It must be the one found in the bytes, and the first such child of the root."""
        parser = self._parser
        component = self._tree.start(name, attributes)
        root = self._tree.close()
        if name != COMPONENT_NAME or parser.CurrentByteIndex != self._header_end:
            raise _InDoubt
        if root.tag != CLINICAL_DOCUMENT or root[-1] is not component or root.find(COMPONENT_NAME) is not component:
            raise _InDoubt
        if max(map(len, map(_ATTRIBUTES_OF, root.iter()))) > limits.ATTRIBUTES_MAXIMUM:
            raise _InDoubt
        self._header = extract_header(root, header_bytes=self._header_end, auto_presentable=False)
        refuse_unknown_type(self._header)
        parser.CharacterDataHandler = None
        block = Block()
        block.content = self._document
        block.is_last = True
        self._body = BodyHandlers(parser, block, depth=2, watch_to_the_end=False)

    def _parse_payload(self, document: memoryview) -> int:
        """Check the payload of a usual unstructured body without the parser; from where the parser is to go on.

        Of characters of the Base64 alphabet between two tags the parser would say nothing, and take longer to say it.
        """
        tags = _PAYLOAD_TAGS.match(self._document, self._header_end)
        if tags is None or _EMPTY_TAG_END in tags[0]:
            return self._header_end
        self._parser.Parse(document[self._header_end : tags.end()], False)
        end = self._document.find(b"<", tags.end())
        if self._body is None or self._body.payload is None or end < 0:
            return tags.end()
        self._body.payload.take_bytes(self._document[tags.end() : end])
        return end
