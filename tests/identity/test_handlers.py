"""Attacks the batch handler: redelivery, erased subjects, unreadable facts, several facts of one stream, conflicts on a link."""

from collections.abc import Sequence
from uuid import uuid4

import msgspec
import pytest

from relais.contracts import Fact, decode, encode
from relais.contracts.identity import IdentityHeld, IdentityParked, IdentityVerified, LocalIdLinked
from relais.contracts.ingestion import DistributionRequested, DocumentReceived
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import SealedContent
from relais.eventlog.log import BatchConflict
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, Outcome, StoredEvent
from relais.identity.adapters.insi import InsiNotConnected
from relais.identity.handlers import IdentityHandler
from relais.testing.clock import ManualClock
from relais.transport.bus import Announcement, Delivered
from relais.vault.keys import MemoryKeyRing
from relais.vault.seal import document_key, seal_content
from relais.vault.vault import SubjectKey
from tests.identity.given import INS_NIR, OTHER_INS, TEST_RULES, content, submission, with_ins

TENANT = "chu"


class CountingLog(MemoryEventLog):
    """The log in memory, which counts the round trips that read states."""

    reads = 0

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        self.reads += 1
        return await super().read_streams(tenant_streams)


class World:
    """A handler with its log and keys in memory, and the announcements that ingestion would make."""

    def __init__(self, log: "CountingLog | None" = None) -> None:
        self.log = log or CountingLog("identity", ManualClock())
        self.keys = MemoryKeyRing()
        self.handler = IdentityHandler(self.log, self.keys, InsiNotConnected(), TEST_RULES)
        self.position = 0

    async def subject(self, identity: bytes = b"she") -> SubjectKey:
        (subject,) = await self.keys.subjects_for([(TENANT, identity)])
        return subject

    async def received(self, sealed: SealedContent, document: str, request: str, *, later: bool = False, partition: int = 3) -> Delivered:
        """The announcement of one request, sealed under the subject's key."""
        subject = await self.subject()
        bytes_ = seal_content(document_key(subject, document), document, sealed)
        given = submission(request, bytes_, document, str(subject.subject))
        fact: Fact = DocumentReceived(submission=given, fingerprint=b"f", content=b"c")
        if later:
            fact = DistributionRequested(submission=given, fingerprint=b"f")
        return self.announce(fact.TAG, encode(fact), document, partition)

    def announce(self, tag: str, payload: bytes, stream: str, partition: int = 3) -> Delivered:
        self.position += 1
        announcement = Announcement(
            log="ingestion",
            partition=partition,
            position=self.position,
            previous=self.position - 1,
            tag=tag,
            tenant=TENANT,
            stream=stream,
            version=1,
            event_id=str(uuid4()),
            recorded_at="2026-05-01T08:00:00+00:00",
            actor="x509:his",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            payload=payload,
        )
        return Delivered(self.position, announcement)

    async def commit(self, *batch: Delivered) -> list[Fact]:
        """Handle a batch and store its effects as the consumer does; the facts that were stored."""
        effects = await self.handler.handle(batch)
        if effects:
            await self.log.append(effects, all_or_nothing=True)
        return facts_of(effects)


def facts_of(effects: Sequence[Append]) -> list[Fact]:
    return [decode(event.tag, event.payload) for append in effects for event in append.events]


@pytest.fixture
def world() -> World:
    return World()


DISAGREES = content({"birth_family_name": "DURAND"})


async def test_a_received_document_is_verified_and_its_local_id_linked(world: World) -> None:
    verified, linked = await world.commit(await world.received(content(), "d1", "r1"))
    assert isinstance(verified, IdentityVerified)
    assert isinstance(linked, LocalIdLinked)
    assert verified.submission.document == linked.document == "d1"


async def test_a_redelivered_fact_changes_nothing(world: World) -> None:
    delivered = await world.received(content(), "d1", "r1")
    await world.commit(delivered)
    assert await world.commit(delivered) == []
    assert await world.log.head() == 2


async def test_the_same_batch_makes_the_same_event_ids(world: World) -> None:
    batch = [await world.received(content(), "d1", "r1"), await world.received(DISAGREES, "d2", "r2")]
    first, second = await world.handler.handle(batch), await world.handler.handle(batch)
    ids = [event.event_id for append in first for event in append.events]
    assert ids == [event.event_id for append in second for event in append.events]
    assert len(set(ids)) == len(ids) == 3


async def test_a_batch_reads_all_its_states_in_one_round_trip(world: World) -> None:
    batch = [await world.received(content(), f"d{number}", f"r{number}") for number in range(20)]
    assert len(await world.commit(*batch)) == 21
    assert world.log.reads == 1


async def test_several_facts_of_one_stream_are_folded_in_order_within_the_batch(world: World) -> None:
    batch = [
        await world.received(DISAGREES, "d1", "r1"),
        await world.received(content(), "d1", "r2", later=True),
        await world.received(content(), "d1", "r2", later=True),
    ]
    effects = await world.handler.handle(batch)
    held, verified, _ = facts_of(effects)
    assert isinstance(held, IdentityHeld)
    assert isinstance(verified, IdentityVerified)
    assert [event.expected_version for event in effects[0].events] == [0, 1]
    answers = await world.log.append(effects, all_or_nothing=True)
    assert {answer.outcome for answer in answers} == {Outcome.STORED}


async def test_two_patients_under_one_local_id_in_one_batch_are_not_both_verified(world: World) -> None:
    same_place = {"local_id": "7", "local_id_authority": "1.2.3"}
    hers = content(same_place)
    his = with_ins(OTHER_INS)
    his = msgspec.structs.replace(his, identity=msgspec.structs.replace(his.identity, **same_place))
    facts = await world.commit(await world.received(hers, "d1", "r1"), await world.received(his, "d2", "r2"))
    (held,) = [fact for fact in facts if isinstance(fact, IdentityHeld)]
    assert held.submission.document == "d2"
    assert held.reasons == (HoldReason.LOCAL_ID_WITH_ANOTHER_INS,)


async def test_a_held_document_never_takes_a_local_id(world: World) -> None:
    facts = await world.commit(await world.received(DISAGREES, "d1", "r1"))
    assert [type(fact) for fact in facts] == [IdentityHeld]


async def test_two_replicas_that_link_one_local_id_at_once_cannot_both_win(world: World) -> None:
    other = with_ins(OTHER_INS)
    other = msgspec.structs.replace(other, identity=msgspec.structs.replace(other.identity, local_id="1234567890121"))
    other = msgspec.structs.replace(other, identity=msgspec.structs.replace(other.identity, local_id_authority="1.2.3.4.567.8.9.10"))
    mine = await world.handler.handle([await world.received(content(), "d1", "r1")])
    theirs_delivered = await world.received(other, "d2", "r2", partition=4)
    theirs = await world.handler.handle([theirs_delivered])
    await world.log.append(mine, all_or_nothing=True)
    with pytest.raises(BatchConflict):
        await world.log.append(theirs, all_or_nothing=True)
    (again,) = await world.commit(theirs_delivered)
    assert isinstance(again, IdentityHeld)


async def test_an_erased_subject_holds_its_document(world: World) -> None:
    delivered = await world.received(content(), "d1", "r1")
    await world.keys.erase(TENANT, (await world.subject()).subject)
    (held,) = await world.commit(delivered)
    assert isinstance(held, IdentityHeld)
    assert held.reasons == (HoldReason.SUBJECT_ERASED,)


async def test_a_broken_seal_holds_its_document_and_its_neighbours_go_on(world: World) -> None:
    good, broken = await world.received(content(), "d1", "r1"), await world.received(content(), "d2", "r2")
    fact = decode(broken.announcement.tag, broken.announcement.payload)
    assert isinstance(fact, DocumentReceived)
    changed = msgspec.structs.replace(fact, submission=msgspec.structs.replace(fact.submission, sealed=fact.submission.sealed[::-1]))
    facts = await world.commit(good, world.announce(changed.TAG, encode(changed), "d2"))
    held = [fact for fact in facts if isinstance(fact, IdentityHeld)]
    assert [one.reasons for one in held] == [(HoldReason.FACT_UNREADABLE,)]
    assert [one.submission.document for one in facts if isinstance(one, IdentityVerified)] == ["d1"]


@pytest.mark.parametrize(
    ("tag", "payload"), [("ingestion.document_received.v9", b"{}"), ("ingestion.document_received.v1", b"{"), (DocumentReceived.TAG, b"[]")]
)
async def test_a_fact_that_cannot_be_read_parks_its_document_and_what_follows(world: World, tag: str, payload: bytes) -> None:
    parked, held, verified, _ = await world.commit(
        world.announce(tag, payload, "d1"), await world.received(content(), "d1", "r2"), await world.received(content(), "d2", "r3")
    )
    assert isinstance(parked, IdentityParked)
    assert (parked.document, parked.log, parked.position, parked.tag) == ("d1", "ingestion", 1, tag)
    assert isinstance(held, IdentityHeld)
    assert isinstance(verified, IdentityVerified)


async def test_facts_that_carry_no_submission_have_no_effect(world: World) -> None:
    assert await world.commit(world.announce("access.denied.v1", b'{"method":"m","code":"c"}', "access/2026-05-01")) == []


async def test_effects_keep_partition_trace_and_tenant_and_say_what_waits(world: World) -> None:
    delivered = await world.received(DISAGREES, "d1", "r1", partition=17)
    (append,) = await world.handler.handle([delivered])
    (event,) = append.events
    assert (event.tenant, event.stream, event.partition, event.actor) == (TENANT, "d1", 17, "service:identity")
    assert event.traceparent == delivered.announcement.traceparent
    (row,) = append.work
    assert (row["op"], row["document"], row["reasons"], row["evidence"]) == ("held", "d1", ["IDENTITY_DISAGREES"], ["birth_family_name"])


async def test_nothing_of_the_patient_is_clear_in_what_is_stored(world: World) -> None:
    effects = await world.handler.handle([await world.received(content(), "d1", "r1"), await world.received(DISAGREES, "d2", "r2")])
    stored = b" ".join(event.payload + event.stream.encode() for append in effects for event in append.events)
    rows = repr([append.work for append in effects]).encode()
    for personal in (b"279035121518989", b"PAT-TROIS", b"DURAND", b"19790328", b"1234567890121", INS_NIR.encode()):
        assert personal not in stored + rows
