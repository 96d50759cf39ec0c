"""What happens at each tag of the header: what has a place in `shape` is kept, the rest passes by."""

from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element
from xml.parsers.expat import XMLParserType

from relais.ingestion.cda.limits import ATTRIBUTES_MAXIMUM, DEPTH_MAXIMUM, HEADER_BYTES_MAXIMUM, HEADER_ELEMENTS_MAXIMUM
from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode
from relais.ingestion.cda.shape import CLINICAL_DOCUMENT, COMPONENT, HEADER, RECORD_TARGET, Shape

_ROOT_PATH: Final = "ClinicalDocument"


class HeaderHandlers:
    """The expat handlers from `ClinicalDocument` to its `component`, installed by being made.

    `depth` counts the elements open, ClinicalDocument included. `begin_body` is called with the kept header and
    its length in bytes at the `component` tag, and installs the handlers that follow.
    """

    def __init__(self, parser: XMLParserType, attributes: dict[str, str], depth: int, begin_body: Callable[[Element, int], None]) -> None:
        self._parser = parser
        self._depth = depth
        self._begin_body = begin_body
        self._start_byte = parser.CurrentByteIndex
        self._current = Element(CLINICAL_DOCUMENT, attributes)
        self._shape = HEADER
        self._parents: list[tuple[Element, Shape]] = []
        self._pieces: list[str] = []
        self._kept = 0
        self._skipped = 0
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def check_bytes(self, end_byte: int) -> None:
        """Refuse a header that is not over at `end_byte` of the document and too large already."""
        if end_byte - self._start_byte > HEADER_BYTES_MAXIMUM:
            raise DocumentRefused(RefusalCode.HEADER_TOO_LARGE, _ROOT_PATH)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        shape = self._shape.children.get(name)
        if shape is None:
            self._parser.StartElementHandler = self._start_skipped
            self._parser.EndElementHandler = self._end_skipped
            self._start_skipped(name, attributes)
            return
        if shape is COMPONENT:
            end_byte = self._parser.CurrentByteIndex
            self.check_bytes(end_byte)
            self._begin_body(self._current, end_byte - self._start_byte)
            return
        self._kept += 1
        if self._kept > HEADER_ELEMENTS_MAXIMUM or len(attributes) > ATTRIBUTES_MAXIMUM:
            raise DocumentRefused(RefusalCode.HEADER_TOO_LARGE, _ROOT_PATH)
        self._parents.append((self._current, self._shape))
        element = Element(name, attributes)
        self._current.append(element)
        self._current = element
        self._shape = shape
        if shape.has_text:
            self._parser.CharacterDataHandler = self._pieces.append

    def _end(self, _name: str) -> None:
        if not self._parents:
            raise DocumentRefused(RefusalCode.BODY_MISSING, "ClinicalDocument/component")
        if self._shape.has_text:
            self._current.text = "".join(self._pieces)
            self._pieces.clear()
            self._parser.CharacterDataHandler = None
        self._current, self._shape = self._parents.pop()

    def _start_skipped(self, name: str, _attributes: dict[str, str]) -> None:
        """Of an element that is not kept, nothing inside is: until it ends, only depth and a hidden patient are of interest.

        Kept elements need no check of their depth: `shape` is nested a dozen deep.
        """
        if name == RECORD_TARGET:
            raise DocumentRefused(RefusalCode.MULTIPLE_RECORD_TARGETS, f"{_ROOT_PATH}/recordTarget")
        self._skipped += 1
        if self._depth + len(self._parents) + self._skipped > DEPTH_MAXIMUM:
            raise DocumentRefused(RefusalCode.TOO_DEEP)

    def _end_skipped(self, _name: str) -> None:
        self._skipped -= 1
        if self._skipped == 0:
            self._parser.StartElementHandler = self._start
            self._parser.EndElementHandler = self._end
