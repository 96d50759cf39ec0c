"""Attacks the promise that a document in packets is judged as the same document in one piece, and in bounded memory."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.ingestion.cda import CdaReader, DocumentRefused, RefusalCode, limits, read_header
from relais.sandbox.cda import Kind, generate
from tests.ingestion.given_cda import STRUCTURED, UNSTRUCTURED, answer, answer_in_pieces, changed, refusal

_LARGE = generate(5, kind=Kind.N3, size_bytes=3 * limits.BLOCK_BYTES + 17).body
_LARGE_PDF = generate(6, kind=Kind.N1, size_bytes=2 * limits.BLOCK_BYTES).body
_SPOILT = changed(_LARGE, "Remarque", "</Remarque>")
_MEBIBYTE = 1024 * 1024


@given(st.sampled_from([STRUCTURED.body, UNSTRUCTURED.body, _LARGE, _LARGE_PDF, _SPOILT, _LARGE[:-1]]), st.data())
def test_the_cuts_of_the_network_change_nothing(document: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=12)))
    pieces = [document[start:end] for start, end in zip([0, *cuts], [*cuts, len(document)], strict=True)]
    assert answer_in_pieces(pieces) == answer(document)


@pytest.mark.parametrize("size", [limits.BLOCK_BYTES - 1, limits.BLOCK_BYTES, limits.BLOCK_BYTES + 1, 2 * limits.BLOCK_BYTES])
@pytest.mark.parametrize("piece", [1000, limits.BLOCK_BYTES, 10 * limits.BLOCK_BYTES])
def test_a_document_that_ends_with_a_block_is_complete(size: int, piece: int) -> None:
    document = generate(8, size_bytes=size).body
    assert len(document) == size
    assert answer_in_pieces(list(_pieces(document, piece))) == read_header(document)


def test_byte_by_byte_with_empty_pieces_between() -> None:
    pieces = [piece for byte in _pieces(STRUCTURED.body, 1) for piece in (byte, b"")]
    assert answer_in_pieces(pieces) == read_header(STRUCTURED.body)


def test_any_kind_of_buffer_may_be_fed() -> None:
    reader = CdaReader()
    buffer = bytearray(STRUCTURED.body[:9000])
    reader.feed(buffer)
    buffer[:] = b"x" * len(buffer)  # The caller may use its buffer again at once.
    reader.feed(memoryview(STRUCTURED.body)[9000:])
    assert reader.close() == read_header(STRUCTURED.body)


def test_a_hundred_mebibytes_stream_through_little_memory() -> None:
    head, tail = _around_payload()
    line = b"QUJD" * 19 + b"\n"
    chunk = line * 4096
    tracemalloc.start()
    try:
        reader = CdaReader()
        reader.feed(head)
        sent = len(head) + len(tail)
        while sent + len(chunk) <= limits.DOCUMENT_BYTES_MAXIMUM:
            reader.feed(chunk)
            sent += len(chunk)
        reader.feed(tail)
        header = reader.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent > 99 * _MEBIBYTE
    assert header == read_header(UNSTRUCTURED.body)
    assert peak < 3 * _MEBIBYTE


def test_one_byte_over_the_limit_is_refused_as_soon_as_it_comes() -> None:
    reader = CdaReader(document_bytes_maximum=len(STRUCTURED.body))
    reader.feed(STRUCTURED.body)
    with pytest.raises(DocumentRefused) as refused:
        reader.feed(b" ")
    assert refused.value.code is RefusalCode.TOO_LARGE
    exact = CdaReader(document_bytes_maximum=len(STRUCTURED.body))
    exact.feed(STRUCTURED.body)
    assert exact.close() == read_header(STRUCTURED.body)


def test_a_hundred_and_one_mebibytes_are_refused_before_they_all_came() -> None:
    head, _ = _around_payload()
    reader = CdaReader()
    reader.feed(head)
    refused, taken = _feed_until_refused(reader, b"QUJD" * (_MEBIBYTE // 4), 101)
    assert refused is RefusalCode.TOO_LARGE
    assert taken == 99


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(f'<x a="{"x" * 2 * limits.TOKEN_BYTES_MAXIMUM}"/>', id="an attribute without end"),
        pytest.param(f"<!--{'x' * 2 * limits.TOKEN_BYTES_MAXIMUM}-->", id="a comment without end"),
        pytest.param("".join(f"<n{number}/>" for number in range(80_000)), id="ever new names"),
        pytest.param("".join(f'<n a{number}=""/>' for number in range(60_000)), id="ever new attributes"),
        pytest.param("".join(f'<n xmlns:p{number}="u"/>' for number in range(30_000)), id="ever new prefixes"),
        pytest.param("<n/>" * (limits.BODY_ELEMENTS_MAXIMUM + 1), id="ever more elements"),
    ],
)
def test_what_would_grow_without_bound_is_refused(hostile: str) -> None:
    assert refusal(changed(STRUCTURED.body, "<paragraph>", f"{hostile}<paragraph>")) == (RefusalCode.TOO_LARGE, "")


def test_a_hostile_token_is_refused_before_it_is_held() -> None:
    reader = CdaReader()
    reader.feed(changed(STRUCTURED.body, "<paragraph>", '<x a="').split(b'<x a="')[0] + b'<x a="')
    tracemalloc.start()
    try:
        refused, taken = _feed_until_refused(reader, b"x" * _MEBIBYTE, 50)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused is RefusalCode.TOO_LARGE
    assert taken < 3
    assert peak < 8 * _MEBIBYTE


def _feed_until_refused(reader: CdaReader, chunk: bytes, times: int) -> tuple[RefusalCode | None, int]:
    """The refusal, and how many chunks were taken before it."""
    for taken in range(times):
        try:
            reader.feed(chunk)
        except DocumentRefused as refused:
            return refused.code, taken
    return None, times


def _pieces(document: bytes, size: int) -> Iterator[bytes]:
    return (document[start : start + size] for start in range(0, len(document), size))


def _around_payload() -> tuple[bytes, bytes]:
    start = UNSTRUCTURED.body.index(b'B64">') + 5
    return UNSTRUCTURED.body[:start], UNSTRUCTURED.body[UNSTRUCTURED.body.index(b"</text>") :]
