"""Frames and messages: what goes out comes back, what is not ours is recognised, and nothing in a name writes protocol commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relais.testing.bus_place import announcement
from relais.transport.bus import BATCH_MESSAGES_MAXIMUM, Announcement, Delivered
from relais.transport.wire import ForeignMessage, Place, decode, encode_batch, place_of

names = st.text(min_size=1, max_size=40)


@given(
    partition=st.integers(0, 31), position=st.integers(1, 2**62), previous=st.integers(0, 2**62), tenant=names, stream=names, actor=names,
    version=st.integers(1, 2**31), payload=st.binary(max_size=300),
)  # fmt: skip
def test_an_announcement_comes_back_as_it_went(
    partition: int, position: int, previous: int, tenant: str, stream: str, actor: str, version: int, payload: bytes
) -> None:
    sent = replace(
        announcement("identity", position, partition=partition, previous=previous, payload=payload),
        tenant=tenant, stream=stream, actor=actor, version=version,
    )  # fmt: skip
    subject, _, headers, data = parts(encode_batch([sent], 7, "batch", "inbox"))
    assert decode(3, subject, headers, data) == Delivered(3, sent)


def test_the_first_message_of_a_batch_carries_the_fence_and_the_last_one_commits_and_is_answered() -> None:
    facts = [announcement("identity", position) for position in (4, 5, 6)]
    frames = messages(encode_batch(facts, 3, "b-1", "inbox.9"))
    assert [reply for _, reply, _, _ in frames] == [b"", b"", b"inbox.9"]
    assert [headers.decode().split("\r\n")[1:-2] for _, _, headers, _ in frames] == [
        ["Relais-Position: 4", "Relais-Previous: 0", "Nats-Batch-Id: b-1", "Nats-Batch-Sequence: 1", "Nats-Expected-Last-Sequence: 3"],
        ["Relais-Position: 5", "Relais-Previous: 0", "Nats-Batch-Id: b-1", "Nats-Batch-Sequence: 2"],
        ["Relais-Position: 6", "Relais-Previous: 0", "Nats-Batch-Id: b-1", "Nats-Batch-Sequence: 3", "Nats-Batch-Commit: 1"],
    ]


def test_a_single_message_is_a_plain_publish_with_the_fence() -> None:
    ((_, reply, headers, _),) = messages(encode_batch([announcement("identity", 4)], 3, "b-1", "inbox.9"))
    assert (reply, b"Batch" in headers, b"Nats-Expected-Last-Sequence: 3\r\n" in headers) == (b"inbox.9", False, True)


def test_no_message_ever_carries_an_id_that_the_server_would_remember() -> None:
    assert b"Nats-Msg-Id" not in encode_batch([announcement("identity", n) for n in range(1, BATCH_MESSAGES_MAXIMUM + 1)], 0, "b", "r")


@pytest.mark.parametrize("tag", ["a b", "a\r\nPUB x 0", "a\tb", "a\nb", "é", "a.>", "*", ""])
def test_a_tag_that_would_write_a_command_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="not a subject"):
        encode_batch([replace(announcement("identity", 1), tag=tag)], 0, "b", "r")


GOOD = (b"relais.identity.07.identity.verified.v1", b"NATS/1.0\r\nRelais-Position: 9\r\nRelais-Previous: 2\r\n\r\n")
LINE = b'["t","s",1,"id","at","actor",""]\n{}'


@pytest.mark.parametrize(
    ("subject", "headers", "data"),
    [
        (b"relais.identity", GOOD[1], LINE),
        (b"relais.identity.xx.a.b.v1", GOOD[1], LINE),
        (GOOD[0], b"", LINE),
        (GOOD[0], b"NATS/1.0\r\nFoo: 9\r\nRelais-Previous: 2\r\n\r\n", LINE),
        (GOOD[0], b"NATS/1.0\r\nRelais-Position: nine\r\nRelais-Previous: 2\r\n\r\n", LINE),
        (GOOD[0], GOOD[1], b"no line"),
        (GOOD[0], GOOD[1], b'["t","s"]\n{}'),
        (b"relais.identity.07.\xff", GOOD[1], LINE),
    ],
)
def test_a_message_that_no_relay_wrote_is_recognised(subject: bytes, headers: bytes, data: bytes) -> None:
    with pytest.raises(ForeignMessage):
        decode(1, subject, headers, data)


def test_the_line_may_grow_at_its_end() -> None:
    assert decode(1, *GOOD, b'["t","s",1,"id","at","actor","","something newer"]\n{}') == decode(1, *GOOD, LINE)


@pytest.mark.parametrize(
    "reply",
    [
        b"$JS.ACK.RELAIS_IDENTITY.c1.1.620.31.1795463762519503457.2",
        b"$JS.ACK._.ACCOUNT.RELAIS_IDENTITY.c1.1.620.31.1795463762519503457.2",
        b"$JS.ACK._.ACCOUNT.RELAIS_IDENTITY.c1.1.620.31.1795463762519503457.2.token",
    ],
)
def test_the_place_of_a_delivery_is_read_from_both_forms_of_its_subject(reply: bytes) -> None:
    assert place_of(reply) == Place(620, 31, 2)


@pytest.mark.parametrize("reply", [b"", b"_INBOX.x", b"$JS.ACK.a.b.c.d.e.f.g"])
def test_a_delivery_that_does_not_say_where_it_stands_is_not_ours(reply: bytes) -> None:
    with pytest.raises(ForeignMessage):
        place_of(reply)


Message = tuple[bytes, bytes, bytes, bytes]


def parts(frame: bytes) -> Message:
    """Subject, reply, headers and payload of the one message in a block of frames."""
    (one,) = messages(frame)
    return one


def messages(frames: bytes) -> list[Message]:
    """The messages in a block of frames, read by the protocol's rules."""
    found: list[Message] = []
    while frames:
        line, _, rest = frames.partition(b"\r\n")
        verb, subject, *reply, head, total = line.split()
        assert verb == b"HPUB"
        found.append((subject, reply[0] if reply else b"", rest[: int(head)], rest[int(head) : int(total)]))
        assert rest[int(total) : int(total) + 2] == b"\r\n"
        frames = rest[int(total) + 2 :]
    return found


def test_the_reader_of_frames_reads_what_was_written() -> None:
    facts: list[Announcement] = [announcement("identity", position, payload=b"\r\nHPUB\n" * position) for position in range(1, 5)]
    assert [decode(1, s, h, d).announcement for s, _, h, d in messages(encode_batch(facts, 0, "b", "r"))] == facts
