"""Documents to attack the CDA reader with, and the two answers it may give."""

import pytest

from relais.contracts.header import HeaderExtract
from relais.ingestion.cda import CdaReader, DocumentRefused, RefusalCode, read_header
from relais.sandbox.cda import Kind, SyntheticDocument, generate

STRUCTURED: SyntheticDocument = generate(1, size_bytes=20_000)
UNSTRUCTURED: SyntheticDocument = generate(2, kind=Kind.N1, size_bytes=20_000)

Answer = HeaderExtract | tuple[RefusalCode, str]


def changed(document: bytes, old: str, new: str) -> bytes:
    """The document with the first `old` replaced; it must be there, or the test would attack nothing."""
    assert old.encode() in document
    return document.replace(old.encode(), new.encode(), 1)


def refusal(document: bytes) -> tuple[RefusalCode, str]:
    """Code and field of the refusal this document must meet."""
    with pytest.raises(DocumentRefused) as refused:
        read_header(document)
    return refused.value.code, refused.value.field


def answer(document: bytes) -> Answer:
    """What the reader says of a whole document: its header, or code and field of the refusal."""
    return answer_in_pieces([document])


def answer_in_pieces(pieces: list[bytes]) -> Answer:
    """What the reader says of a document that arrives in these pieces."""
    reader = CdaReader()
    try:
        for piece in pieces:
            reader.feed(piece)
        return reader.close()
    except DocumentRefused as refused:
        return refused.code, refused.field
