"""The one hardened way from bytes to a header: no DTD, no entities, no network, a limit on everything.

The answer depends on the bytes alone. Whatever the cuts of the network were, the parser is given the same blocks, counted
from the first byte, so a document that arrives in packets is judged exactly as the same document in one piece.

Memory is bounded by one block, one unfinished token, the kept header, and the names the parser remembers; each has its
limit in `limits`. Expat forgets no name it has met, which is why distinct names are counted as well.
"""

import re
from typing import Final
from xml.parsers import expat

from relais.contracts.header import HeaderExtract
from relais.ingestion.cda import limits
from relais.ingestion.cda.at_once import read_at_once
from relais.ingestion.cda.block import Block
from relais.ingestion.cda.handlers import DocumentHandlers
from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode
from relais.ingestion.cda.shape import NAMESPACE_SEPARATOR

_BLANK: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\Z")
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_CUT_SHORT: Final = frozenset(
    expat.errors.codes[message]
    for message in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)
_INVALID_TOKEN: Final = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_UNDEFINED_ENTITY: Final = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]


def read_header(document: bytes) -> HeaderExtract:
    """Check a whole document and read its header. Raises DocumentRefused."""
    # The same answer as below, sooner, for nearly all documents that are taken in and none that is refused.
    header = read_at_once(document)
    if header is not None:
        return header
    reader = CdaReader()
    reader.feed(document)
    return reader.close()


class CdaReader:
    """Checks a document as it streams in and reads its header, in bounded memory.

    `feed` any cuts in order, then `close`. Both raise DocumentRefused, and go on raising it once they have.
    """

    def __init__(self, *, document_bytes_maximum: int = limits.DOCUMENT_BYTES_MAXIMUM) -> None:
        self._document_bytes_maximum = document_bytes_maximum
        self._pending: bytes | bytearray = b""
        self._block = Block()
        self._refusal: DocumentRefused | None = None
        # Our own word on the encoding makes the parser check that the bytes are UTF-8, whatever they declare.
        self._parser = expat.ParserCreate("utf-8", NAMESPACE_SEPARATOR)
        self._handlers = DocumentHandlers(self._parser, self._block)

    @property
    def header_so_far(self) -> HeaderExtract | None:
        """The header once it was read whole, long before a large document has ended; what follows may still be refused."""
        return self._handlers.extract

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the document."""
        self._raise_again()
        try:
            if not self._pending and isinstance(chunk, bytes) and len(chunk) <= limits.BLOCK_BYTES:
                self._pending = chunk  # The usual document comes whole, and is never copied.
                self._check_size()
            else:
                self._take_in_blocks(memoryview(chunk))
        except DocumentRefused as refusal:
            self._give_up(refusal)
            raise

    def close(self) -> HeaderExtract:
        """Say that the document is complete, and have its header."""
        self._raise_again()
        try:
            self._parse(is_last=True)
            header = self._handlers.finish()
        except DocumentRefused as refusal:
            self._give_up(refusal)
            raise
        self._release()
        return header

    def _take_in_blocks(self, rest: memoryview) -> None:
        pending = self._pending if isinstance(self._pending, bytearray) else bytearray(self._pending)
        while rest:
            if len(pending) == limits.BLOCK_BYTES:
                self._pending = pending
                self._parse(is_last=False)
                pending = bytearray()
            room = limits.BLOCK_BYTES - len(pending)
            pending += rest[:room]
            rest = rest[room:]
            self._pending = pending
            self._check_size()

    def _check_size(self) -> None:
        if self._block.end + len(self._pending) > self._document_bytes_maximum:
            raise DocumentRefused(RefusalCode.TOO_LARGE)

    def _parse(self, *, is_last: bool) -> None:
        block = self._block
        block.start = block.end
        block.content = self._pending
        block.is_last = is_last
        self._pending = b""
        if block.start == 0:
            _check_first_bytes(block.content)
        try:
            self._parser.Parse(block.content, is_last)
        except expat.ExpatError as error:
            # The parser's own message is dropped with its context: ours must hold nothing of the document.
            raise self._refusal_of(error.code) from None
        if not is_last:
            self._handlers.after_block()

    def _refusal_of(self, code: int) -> DocumentRefused:
        if code in _CUT_SHORT:
            return DocumentRefused(RefusalCode.TRUNCATED)
        if code == _UNDEFINED_ENTITY:
            return DocumentRefused(RefusalCode.DTD_FORBIDDEN)
        if code == _INVALID_TOKEN and not self._is_utf_8_at(self._parser.ErrorByteIndex - self._block.start):
            return DocumentRefused(RefusalCode.WRONG_ENCODING)
        return DocumentRefused(RefusalCode.NOT_XML)

    def _is_utf_8_at(self, index: int) -> bool:
        character = bytes(self._block.content[max(index, 0) : max(index, 0) + 4])
        return any(_decodes(character[:length]) for length in range(1, 5))

    def _raise_again(self) -> None:
        if self._refusal is not None:
            raise DocumentRefused(self._refusal.code, self._refusal.field)

    def _give_up(self, refusal: DocumentRefused) -> None:
        self._refusal = DocumentRefused(refusal.code, refusal.field)
        self._release()

    def _release(self) -> None:
        self._handlers.release()
        self._block.content = b""
        self._pending = b""


def _check_first_bytes(content: bytes | bytearray) -> None:
    """Tell what can be told before parsing: other encodings of XML, and nothing at all."""
    if content[:2] in _UTF_16_MARKS or b"\x00" in content[:4]:
        raise DocumentRefused(RefusalCode.WRONG_ENCODING)
    if _BLANK.match(content) is not None:
        raise DocumentRefused(RefusalCode.NOT_XML)


def _decodes(character: bytes) -> bool:
    try:
        character.decode()
    except UnicodeDecodeError:
        return False
    return True
