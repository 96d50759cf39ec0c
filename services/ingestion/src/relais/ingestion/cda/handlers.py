"""What happens at the edges of a document: prolog, root, stylesheet. Between them `header` and then `body` take over."""

from typing import Final
from xml.etree.ElementTree import Element
from xml.parsers.expat import XMLParserType

import msgspec

from relais.contracts.header import HeaderExtract
from relais.ingestion.cda import limits
from relais.ingestion.cda.block import Block
from relais.ingestion.cda.body import BodyHandlers
from relais.ingestion.cda.extract import extract_header
from relais.ingestion.cda.header import HeaderHandlers
from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode
from relais.ingestion.cda.shape import CLINICAL_DOCUMENT, NAMESPACE_SEPARATOR
from relais.ingestion.cda.type_codes import refuse_unknown_type

_STYLESHEET: Final = f"http://www.w3.org/1999/XSL/Transform{NAMESPACE_SEPARATOR}stylesheet"
_VERSION: Final = "1.0"
_ENCODING: Final = "UTF-8"


class DocumentHandlers:
    """The expat handlers of one document. Each raises DocumentRefused at the first thing that is wrong.

    The reader calls `after_block` each time the parser has seen a block, `finish` when all of them were well-formed, and
    `release` in the end, because parser and handlers know each other and would wait for the collector.
    """

    def __init__(self, parser: XMLParserType, block: Block) -> None:
        self._parser = parser
        self._block = block
        self._depth_in_stylesheet = 0
        self._prefixes: dict[str | None, str] = {}
        self._header: HeaderHandlers | None = None
        self._body: BodyHandlers | None = None
        self._extract: HeaderExtract | None = None
        parser.buffer_text = True
        watch_prolog(parser)
        parser.StartNamespaceDeclHandler = self._prefixes.setdefault
        parser.StartElementHandler = self._start_root

    @property
    def extract(self) -> HeaderExtract | None:
        """What the header says, from the beginning of the body on."""
        return self._extract

    def after_block(self) -> None:
        """Refuse what would grow in memory from block to block."""
        if len(self._parser.intern) > limits.NAMES_MAXIMUM or len(self._prefixes) > limits.PREFIXES_MAXIMUM:
            raise DocumentRefused(RefusalCode.TOO_LARGE)
        if self._block.end - self._parser.CurrentByteIndex > limits.TOKEN_BYTES_MAXIMUM:
            raise DocumentRefused(RefusalCode.TOO_LARGE)
        if self._header is not None and self._body is None:
            self._header.check_bytes(self._block.end)

    def finish(self) -> HeaderExtract:
        """What the header says, once the whole document is known to be well-formed."""
        if self._body is None or self._extract is None:
            raise DocumentRefused(RefusalCode.WRONG_ROOT)
        media_type = self._body.finish()
        if media_type is None:
            return self._extract
        return msgspec.structs.replace(self._extract, structured=False, body_media_type=media_type)

    def release(self) -> None:
        """Take all handlers off the parser."""
        parser = self._parser
        parser.XmlDeclHandler = None
        parser.StartDoctypeDeclHandler = None
        parser.StartNamespaceDeclHandler = None
        parser.StartElementHandler = None
        parser.EndElementHandler = None
        parser.CharacterDataHandler = None

    def _start_root(self, name: str, attributes: dict[str, str]) -> None:
        if name == CLINICAL_DOCUMENT:
            self._begin_header(attributes)
        elif name == _STYLESHEET:
            self._depth_in_stylesheet = 1
            self._parser.StartElementHandler = self._start_in_stylesheet
            self._parser.EndElementHandler = self._end_in_stylesheet
        else:
            raise DocumentRefused(RefusalCode.WRONG_ROOT)

    def _start_in_stylesheet(self, name: str, attributes: dict[str, str]) -> None:
        if name == CLINICAL_DOCUMENT:
            self._begin_header(attributes)
            return
        self._depth_in_stylesheet += 1
        if self._depth_in_stylesheet > limits.DEPTH_MAXIMUM:
            raise DocumentRefused(RefusalCode.TOO_DEEP)

    def _end_in_stylesheet(self, _name: str) -> None:
        self._depth_in_stylesheet -= 1

    def _begin_header(self, attributes: dict[str, str]) -> None:
        self._header = HeaderHandlers(self._parser, attributes, self._depth_in_stylesheet + 1, self._begin_body)

    def _begin_body(self, document: Element, header_bytes: int) -> None:
        in_stylesheet = self._depth_in_stylesheet > 0
        extract = extract_header(document, header_bytes=header_bytes, auto_presentable=in_stylesheet)
        refuse_unknown_type(extract)
        self._extract = extract
        depth = self._depth_in_stylesheet + 2
        self._body = BodyHandlers(self._parser, self._block, depth, watch_to_the_end=in_stylesheet)


def watch_prolog(parser: XMLParserType) -> None:
    """Have the parser refuse what may not stand before the root: another version or encoding, and any DTD."""
    parser.XmlDeclHandler = _declaration
    parser.StartDoctypeDeclHandler = _doctype


def _declaration(version: str, encoding: str | None, _standalone: int) -> None:
    if version != _VERSION:
        raise DocumentRefused(RefusalCode.NOT_XML)  # Expat reads any version, and XML 1.1 by the rules of 1.0.
    if encoding is not None and encoding.upper() != _ENCODING:
        raise DocumentRefused(RefusalCode.WRONG_ENCODING)


def _doctype(*_declaration: object) -> None:
    raise DocumentRefused(RefusalCode.DTD_FORBIDDEN)
