"""What happens in the body: its kind is found, its payload checked, the rest left to the C parser where that is safe.

Two facts about the body are wanted besides well-formedness: it nests no deeper than allowed, and it names no second
patient. Where the bytes in hand prove both, all handlers are taken off; where they do not, each tag is watched to the end.
"""

import re
from typing import Final
from xml.parsers.expat import XMLParserType

from relais.ingestion.cda import limits
from relais.ingestion.cda.block import Block
from relais.ingestion.cda.payload import Base64Check
from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode
from relais.ingestion.cda.shape import CLINICAL_DOCUMENT, RECORD_TARGET, qualified

_STRUCTURED_BODY: Final = qualified("structuredBody")
_NON_XML_BODY: Final = qualified("nonXMLBody")
_TEXT: Final = qualified("text")
_COMPONENT_PATH: Final = "ClinicalDocument/component"
_PAYLOAD_PATH: Final = f"{_COMPONENT_PATH}/nonXMLBody/text"

_XML_BLANKS: Final = " \t\r\n"
_RECORD_TARGET_BYTES: Final = b"recordTarget"
_END_TAGS: Final = re.compile(rb"</")


class BodyHandlers:
    """The expat handlers from `component` on, installed by being made. `depth` counts the elements open, `component` included."""

    def __init__(self, parser: XMLParserType, block: Block, depth: int, *, watch_to_the_end: bool) -> None:
        self._parser = parser
        self._block = block
        self._depth = depth
        self._watch_to_the_end = watch_to_the_end
        self._elements = 0
        self._structured = False
        self._text_depth = 0
        self._media_type: str | None = None
        self._payload: Base64Check | None = None
        parser.StartElementHandler = self._start_kind
        parser.EndElementHandler = self._end

    def finish(self) -> str | None:
        """The media type of an unstructured body, None for a structured one; refused when the body was neither."""
        if self._structured:
            return None
        if self._media_type is None:
            raise DocumentRefused(RefusalCode.BODY_MISSING, _PAYLOAD_PATH if self._text_depth else _COMPONENT_PATH)
        return self._media_type

    @property
    def payload(self) -> Base64Check | None:
        """The check of the payload, from its `text` tag on; None before, and where the payload is plain text."""
        return self._payload

    def _start_kind(self, name: str, attributes: dict[str, str]) -> None:
        self._start(name, attributes)
        if name == _NON_XML_BODY:
            self._text_depth = self._depth + 1
            self._parser.StartElementHandler = self._start_in_unstructured
        elif name == _STRUCTURED_BODY:
            self._structured = True
            if self._watch_to_the_end or not self._rest_is_harmless():
                self._parser.StartElementHandler = self._start
            else:
                self._parser.StartElementHandler = None
                self._parser.EndElementHandler = None
                self._parser.StartNamespaceDeclHandler = None
        else:
            raise DocumentRefused(RefusalCode.BODY_MISSING, _COMPONENT_PATH)

    def _rest_is_harmless(self) -> bool:
        """Whether the bytes that follow prove that no tag needs watching; True is certain, False only a doubt.

        In well-formed XML every open element still has its end tag to come, save that the deepest may be an empty one: the
        depth is at most one more than the end tags that follow. And no name can be written but by its own bytes: where
        these are absent, no second patient follows.
        """
        if not self._block.is_last:
            return False
        content = self._block.content
        here = self._parser.CurrentByteIndex - self._block.start
        if content.find(_RECORD_TARGET_BYTES, here) >= 0:
            return False
        # For a needle this short findall takes half the time of count.
        return len(_END_TAGS.findall(content, here)) < limits.DEPTH_MAXIMUM

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > limits.DEPTH_MAXIMUM:
            raise DocumentRefused(RefusalCode.TOO_DEEP)
        if self._elements > limits.BODY_ELEMENTS_MAXIMUM:
            raise DocumentRefused(RefusalCode.TOO_LARGE)
        if name == RECORD_TARGET:
            raise DocumentRefused(RefusalCode.MULTIPLE_RECORD_TARGETS, "ClinicalDocument/recordTarget")
        if name == CLINICAL_DOCUMENT:
            raise DocumentRefused(RefusalCode.ELEMENT_REPEATED, "ClinicalDocument")

    def _end(self, _name: str) -> None:
        self._depth -= 1

    def _start_in_unstructured(self, name: str, attributes: dict[str, str]) -> None:
        self._start(name, attributes)
        if name != _TEXT or self._depth != self._text_depth:
            return
        if self._media_type is not None:
            raise DocumentRefused(RefusalCode.ELEMENT_REPEATED, _PAYLOAD_PATH)
        self._media_type = attributes.get("mediaType", "").strip(_XML_BLANKS)
        if len(self._media_type) > limits.FIELD_CHARACTERS_MAXIMUM:
            raise DocumentRefused(RefusalCode.FIELD_TOO_LONG, f"{_PAYLOAD_PATH}/@mediaType")
        is_text = not self._media_type or self._media_type.lower().startswith("text/")
        if attributes.get("representation") == "B64" or not is_text:
            # A PDF that does not say B64 can be nothing else, so it is held to the same rule.
            self._payload = Base64Check(_PAYLOAD_PATH)
            self._parser.CharacterDataHandler = self._payload.take
        self._parser.StartElementHandler = self._start_in_payload
        self._parser.EndElementHandler = self._end_payload

    def _start_in_payload(self, _name: str, _attributes: dict[str, str]) -> None:
        """A body given by reference, or with markup inside: what would be forwarded is not what would be read."""
        raise DocumentRefused(RefusalCode.BODY_MISSING, _PAYLOAD_PATH)

    def _end_payload(self, name: str) -> None:
        self._end(name)
        if self._payload is not None:
            self._payload.finish()
        self._parser.CharacterDataHandler = None
        self._parser.StartElementHandler = self._start_in_unstructured
        self._parser.EndElementHandler = self._end
