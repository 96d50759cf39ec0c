"""Attacks the sink: requests cut anywhere, many in one piece, over real TLS; its counts must be right or a bench lies."""

import asyncio
import itertools
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.delivery.adapters.https.client import Address, Client
from relais.sandbox.sink import HEAD_BYTES_MAXIMUM, SinkProtocol, Tally
from tests.bench.floor_sink import sink_floor
from tests.bench.sink_process import running_sink
from tests.delivery.certificates import Authority


class Wire(asyncio.Transport):
    """The other end of a protocol, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


def feed(protocol: SinkProtocol, data: bytes, cuts: list[int]) -> None:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        piece = data[start:end]
        while piece:
            room = protocol.get_buffer(-1)
            taken = min(len(room), len(piece))
            room[:taken] = piece[:taken]
            protocol.buffer_updated(taken)
            piece = piece[taken:]


def request(path: str, identifier: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nCE-Id: {identifier}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@given(
    sizes=st.lists(st.sampled_from([0, 1, 100, 70_000, 300_000]), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 1_000_000), max_size=12),
)
def test_requests_cut_anywhere_are_each_counted_once(sizes: list[int], cuts: list[int]) -> None:
    tally, wire = Tally(), Wire()
    protocol = SinkProtocol(tally)
    protocol.connection_made(wire)
    # Bytes that look like heads, in bodies, must not be taken for heads.
    bodies = [(b"\r\n\r\nPOST /no HTTP/1.1\r\nce-id: no\r\ncontent-length: 9\r\n\r\n" * (size // 50 + 1))[:size] for size in sizes]
    feed(protocol, b"".join(request(f"/p{number % 2}", f"id-{number}", body) for number, body in enumerate(bodies)), cuts)
    assert tally.deliveries == len(sizes)
    assert tally.body_bytes == sum(sizes)
    assert [identifier for identifier, _ in tally.arrivals] == [b"id-%d" % number for number in range(len(sizes))]
    assert sum(tally.by_path.values()) == len(sizes)
    assert set(tally.by_path) <= {"/p0", "/p1"}
    assert b"".join(wire.written).count(b"HTTP/1.1 200 OK") == len(sizes)


def test_an_endless_head_is_cut_off() -> None:
    wire = Wire()
    protocol = SinkProtocol(Tally())
    protocol.connection_made(wire)
    feed(protocol, b"POST / HTTP/1.1\r\nX: " + b"y" * (HEAD_BYTES_MAXIMUM + 1), [])
    assert wire.aborted


@pytest.mark.parametrize("tls", [True, False])
async def test_the_sink_process_counts_what_our_own_client_sends(tmp_path: Path, tls: bool) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("sink") if tls else (None, None)
    async with running_sink(certificate, key) as sink:
        floor = await sink_floor(sink, authority.file if tls else None, requests=50, connections=4)
        assert floor.requests_per_second > 0
        assert floor.binds(floor.requests_per_second)
        assert not floor.binds(floor.requests_per_second / 100)
        assert (await sink.counts())["deliveries"] == 0
        address = client_of(sink.port, authority.file if tls else None)
        for identifier in ("one", "two", "one"):
            await address.post(request("/lab", identifier, b"")[:-4] + b"\r\n\r\n", b"", 5.0)
        counts = await sink.counts()
        await address.close()
        assert (counts["deliveries"], counts["distinct"], counts["by_path"]) == (3, 2, {"/lab": 3})
        assert counts["first_ns"] <= counts["last_ns"]
        arrivals = await sink.arrivals()
        assert [identifier for identifier, _ in arrivals] == ["one", "two", "one"]


def client_of(port: int, ca_file: Path | None) -> Client:
    tls = ssl.create_default_context(cafile=ca_file) if ca_file is not None else None
    return Client(Address("localhost" if tls else "127.0.0.1", port, tls, 5.0))
