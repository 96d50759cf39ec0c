"""Attacks the small HTTP client: responses cut anywhere, framings of every kind, partners that answer early, late or too much."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relais.delivery.adapters.https import client as client_module
from relais.delivery.adapters.https.client import Address, Client, NeverSent, NoResponse
from relais.delivery.adapters.https.response import BODY_BYTES_MAXIMUM, HEAD_BYTES_MAXIMUM, Response, ResponseReader, ResponseUnreadable
from relais.delivery.ports import BodyUnreadable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

WHOLE = {
    "no body": b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    "empty body": OK,
    "no reason": b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\na\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
}


def read(data: bytes, cuts: list[int]) -> Response | None:
    reader = ResponseReader()
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    response = None
    for start, end in itertools.pairwise(places):
        assert response is None, "complete before its last byte"
        response = reader.feed(data[start:end])
    return response


@pytest.mark.parametrize("kind", WHOLE)
@given(cuts=st.lists(st.integers(0, 400)))
def test_a_response_cut_anywhere_is_the_same_response(kind: str, cuts: list[int]) -> None:
    response = read(WHOLE[kind], cuts)
    assert response is not None
    assert response.reusable
    assert response == read(WHOLE[kind], [])


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", [])
@example(b"HTTP/2 200 OK\r\n\r\n", [])
@example(b"HTTP/1.0 0\r\nContent-Length:0\r\n\r\n", [])
@example(b"HTTP/1.1 999 OK\r\nContent-Length:0\r\n\r\n", [])
@example(b"HTTP/1.1 2xx OK\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\n: nameless\r\n\r\n", [])
def test_noise_is_unreadable_or_unfinished_and_never_an_answer(noise: bytes, cuts: list[int]) -> None:
    try:
        response = read(noise, cuts)
    except ResponseUnreadable:
        return
    # What is an answer, noise or not, has a version and a status that exist.
    assert response is None or re.match(rb"HTTP/1\.[01] [1-5][0-9]{2}[ \r]", noise)


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (HEAD_BYTES_MAXIMUM + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAXIMUM + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 300,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"y" * (HEAD_BYTES_MAXIMUM + 1),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * (BODY_BYTES_MAXIMUM + 1),
    ],
)
def test_an_endless_response_is_cut_off(endless: bytes) -> None:
    with pytest.raises(ResponseUnreadable):
        ResponseReader().feed(endless)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhello") is None
    assert reader.close() == Response(200, {}, reusable=False)
    assert ResponseReader().close() is None


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_a_connection_that_the_partner_closes_is_not_used_again(head: bytes) -> None:
    response = ResponseReader().feed(head + b"Content-Length: 0\r\n\r\n")
    assert response is not None
    assert not response.reusable


def test_a_connection_on_which_more_came_than_the_answer_is_not_used_again() -> None:
    response = ResponseReader().feed(OK + OK)
    assert response is not None
    assert not response.reusable


async def turns(count: int) -> None:
    """Let everybody else run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await turns(1)


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[Client]:
    """A client of a plain server on the loopback interface."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client(Address("127.0.0.1", listening.sockets[0].getsockname()[1], None, 1.0))
    try:
        yield client
    finally:
        await client.close()
        listening.close()


async def take_one(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def post(client: Client, body: bytes = b"x", seconds: float = 5.0) -> Response:
    return await client.post(HEAD % len(body), body, seconds)


async def test_a_partner_that_closes_an_idle_connection_is_called_again_on_a_new_one() -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await take_one(reader)
        writer.write(OK)
        await writer.drain()

    async with server(handler) as client:
        await post(client)
        (connection,) = client._idle
        await until(lambda: not connection.usable)
        await post(client)
        assert connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await take_one(reader)
            writer.write(OK)

    async with server(handler) as client:
        await post(client)
        await post(client)
        assert connections == 1
        monkeypatch.setattr(client_module, "IDLE_SECONDS_MAXIMUM", 0.0)
        await post(client)
        assert connections == 2


async def test_an_unasked_answer_is_never_taken_for_the_answer_to_the_next_request() -> None:
    unasked = b"HTTP/1.1 200 OK\r\nX: unasked\r\nContent-Length: 0\r\n\r\n"
    asked = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_one(reader)
        writer.write(OK)
        await writer.drain()
        await asked.wait()
        writer.write(unasked)
        await take_one(reader)

    async with server(handler) as client:
        assert (await post(client)).fields == {"content-length": "0"}
        (connection,) = client._idle
        asked.set()
        await until(lambda: not connection.usable)
        assert "x" not in (await post(client)).fields


async def test_an_answer_before_the_body_was_read_is_taken_and_the_connection_is_not() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield b"x" * 100_000

    async with server(handler) as client:
        async with asyncio.timeout(2):
            response = await client.post(HEAD % 1_000_000_000, endless(), 60.0)
        assert response.status == 413
        assert client._idle == []


async def test_a_large_body_waits_for_a_partner_that_reads_slowly() -> None:
    pulled = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal pulled
        for _ in range(400):
            pulled += 1
            yield b"x" * 100_000

    ahead: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head
        before = -1
        while before != pulled:
            before = pulled
            await turns(100)
        ahead.append(pulled)
        await reader.readexactly(40_000_000)
        writer.write(OK)

    async with server(handler) as client:
        assert (await client.post(HEAD % 40_000_000, body(), 10.0)).status == 200
    assert ahead[0] < 200


async def test_a_body_that_fails_on_the_way_breaks_the_connection_off() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise BodyUnreadable

    async with server(handler) as client:
        with pytest.raises(BodyUnreadable):
            await client.post(HEAD % 10, body(), 5.0)
        assert client._idle == []
        await until(lambda: len(seen) == 1)
        assert seen[0].endswith(b"first")


async def test_a_partner_that_trickles_is_cut_off_at_the_deadline() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_one(reader)
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await turns(10)
        await asyncio.Event().wait()

    async with server(handler) as client:
        with pytest.raises(NoResponse) as caught:
            await post(client, seconds=0.2)
        assert caught.value.code == "TIMEOUT"


async def test_nobody_there_means_that_nothing_was_sent() -> None:
    listening = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    with pytest.raises(NeverSent) as caught:
        await post(Client(Address("127.0.0.1", port, None, 1.0)))
    assert caught.value.code == "CONNECT_FAILED"
