"""Attacks the batch handler: redelivery, erased subjects, unreadable facts, policies that change between batches, unknown sites."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from relais.contracts import Fact, decode, encode
from relais.contracts.identity import IdentityHeld, IdentityRejected, IdentityReleased, IdentityVerified
from relais.contracts.reasons import HoldReason
from relais.contracts.routing import (
    DestinationKind,
    DocumentHeld,
    EndpointChoice,
    Policy,
    PolicyActivated,
    RouteParked,
    RoutePlanned,
    RouteSuppressed,
)
from relais.contracts.submission import InsStatus, Recipient, SealedContent, Submission
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, NewEvent, StoredEvent
from relais.routing.handlers import SITE_WAIT_SECONDS, RoutingHandler
from relais.testing.clock import ManualClock
from relais.transport.bus import Announcement, BusUnavailable, Delivered
from relais.vault.keys import MemoryKeyRing
from relais.vault.seal import document_key, seal_content
from relais.vault.vault import SubjectKey
from tests.routing.given import (
    DOCTOR,
    EVERYTHING,
    FLAGS,
    HEADER,
    IDENTITY,
    LAW,
    ROW_2,
    ROW_3,
    flags,
    held,
    kinds,
    planned,
    submission,
    suppressed,
)

TENANT = "chu"
OUTSIDE = flags(FLAGS, destmssantepat=False)


class CountingLog(MemoryEventLog):
    """The log in memory, which counts the round trips that read states."""

    reads = 0

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        self.reads += 1
        return await super().read_streams(tenant_streams)


class KnownSites:
    """The registry of these tests: one site in a group, one without."""

    def __init__(self) -> None:
        self.groups = {"site-a": "nord", "site-b": ""}

    def group_of(self, tenant: str, site: str) -> str | None:
        return self.groups.get(site) if tenant == TENANT else None

    def has_group(self, tenant: str, group: str) -> bool:
        return group in self.groups.values()


class World:
    """A handler with its log, keys and registry in memory, and the announcements that identity would make."""

    def __init__(self, start: datetime = datetime(2026, 5, 1, 8, 0, tzinfo=UTC), log: CountingLog | None = None) -> None:
        self.log = log or CountingLog("routing", ManualClock())
        self.keys = MemoryKeyRing()
        self.sites = KnownSites()
        self.clock = ManualClock(start)
        self.handler = RoutingHandler(self.log, self.keys, self.sites, LAW, self.clock)
        self.position = 0

    async def activate(self, scope: str, policy: Policy, version: int = 1) -> None:
        fact = PolicyActivated(scope=scope, version=version, policy=policy)
        event = NewEvent(TENANT, f"policy/{scope}", fact.TAG, encode(fact), uuid4(), 0, "x509:admin")
        await self.log.append([Append((event,))])

    async def subject(self) -> SubjectKey:
        (subject,) = await self.keys.subjects_for([(TENANT, b"she")])
        return subject

    async def sealed(self, request: str, document: str, recipients: Sequence[Recipient] = (DOCTOR,), **changes: Any) -> Submission:
        subject = await self.subject()
        header = msgspec.structs.replace(HEADER, **changes.pop("header", {}))
        identity = msgspec.structs.replace(IDENTITY, **changes.pop("identity", {}))
        content = SealedContent(header=header, identity=identity, recipients=tuple(recipients))
        bytes_ = seal_content(document_key(subject, document), document, content)
        return submission(request, document=document, subject=str(subject.subject), sealed=bytes_, **changes)

    async def verified(self, request: str = "r1", document: str = "d1", *recipients: Recipient, **changes: Any) -> Delivered:
        given = await self.sealed(request, document, recipients or (DOCTOR,), **changes)
        return self.announce(IdentityVerified(submission=given, ins_status=InsStatus.QUALIFIEE), document)

    def announce(self, fact: Fact, stream: str, *, tag: str = "", payload: bytes = b"") -> Delivered:
        self.position += 1
        announcement = Announcement(
            log="identity",
            partition=5,
            position=self.position,
            previous=self.position - 1,
            tag=tag or fact.TAG,
            tenant=TENANT,
            stream=stream,
            version=1,
            event_id=str(uuid4()),
            recorded_at="2026-05-01T08:00:00+00:00",
            actor="service:identity",
            traceparent="",
            payload=payload or encode(fact),
        )
        return Delivered(self.position, announcement)

    async def commit(self, *batch: Delivered) -> list[Fact]:
        effects = await self.handler.handle(batch)
        if effects:
            await self.log.append(effects, all_or_nothing=True)
        return [decode(event.tag, event.payload) for append in effects for event in append.events]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.activate("tenant", EVERYTHING)
    return made


async def test_a_verified_document_is_planned_by_the_active_policy(world: World) -> None:
    facts = await world.commit(await world.verified())
    assert kinds(facts) == ["dmp", "mssante_patient", "mssante_professional"]
    (plan,) = [fact for fact in facts if isinstance(fact, RoutePlanned)]
    assert (plan.policy, plan.policy_version) == ("tenant", 1)


async def test_a_redelivered_fact_changes_nothing(world: World) -> None:
    delivered = await world.verified()
    await world.commit(delivered)
    head = await world.log.head()
    assert await world.commit(delivered) == []
    assert await world.log.head() == head


async def test_a_batch_reads_states_and_policies_in_one_round_trip(world: World) -> None:
    batch = [await world.verified(f"r{number}", f"d{number}") for number in range(20)]
    assert len(await world.commit(*batch)) == 20
    assert world.log.reads == 1


async def test_the_same_batch_makes_the_same_facts_and_ids(world: World) -> None:
    batch = [await world.verified("r1", "d1"), await world.verified("r2", "d1", flags=ROW_2)]
    first, second = await world.handler.handle(batch), await world.handler.handle(batch)
    assert first == second
    versions = [event.expected_version for append in first for event in append.events]
    assert versions == list(range(len(versions)))


async def test_a_policy_activated_between_two_batches_decides_the_second(world: World) -> None:
    await world.commit(await world.verified("r1", "d1"))
    elsewhere = EndpointChoice(kind=DestinationKind.DMP, connector="https", endpoint="elsewhere")
    await world.activate("site:site-a", Policy(endpoints=(elsewhere,)), version=1)
    facts = await world.commit(await world.verified("r2", "d2"))
    assert planned(facts)[0].endpoint == "elsewhere"
    (plan,) = [fact for fact in facts if isinstance(fact, RoutePlanned)]
    assert (plan.policy, plan.inherited) == ("site:site-a", ("tenant@1",))


async def test_a_groups_policy_counts_for_its_sites_only(world: World) -> None:
    await world.activate("group:nord", Policy(matrix_mode="lenient", endpoints=EVERYTHING.endpoints))
    facts = await world.commit(
        await world.verified("r1", "d1", flags=OUTSIDE), await world.verified("r2", "d2", flags=OUTSIDE, site="site-b")
    )
    assert [fact.submission.document for fact in facts if isinstance(fact, RoutePlanned)] == ["d1"]
    assert [fact.submission.document for fact in facts if isinstance(fact, DocumentHeld)] == ["d2"]


async def test_without_a_policy_a_document_waits_for_a_person() -> None:
    world = World()
    assert held(await world.commit(await world.verified())) == ["POLICY_MISSING"]


async def test_a_site_that_was_not_read_yet_is_waited_for_and_takes_nobody_elses_policy(world: World) -> None:
    delivered = await world.verified("r1", "d1", site="site-z")
    with pytest.raises(BusUnavailable):
        await world.commit(delivered)
    await world.clock.advance(SITE_WAIT_SECONDS - 1)
    with pytest.raises(BusUnavailable):
        await world.commit(delivered)
    world.sites.groups["site-z"] = ""
    assert len(planned(await world.commit(delivered))) == 3


async def test_a_site_that_never_comes_holds_its_documents_and_stops_nobody_for_ever(world: World) -> None:
    delivered = await world.verified("r1", "d1", site="site-z")
    with pytest.raises(BusUnavailable):
        await world.commit(delivered)
    await world.clock.advance(SITE_WAIT_SECONDS)
    assert held(await world.commit(delivered)) == ["POLICY_MISSING"]


async def test_a_release_at_identity_is_routed_with_the_status_that_was_given(world: World) -> None:
    given = await world.sealed("r1", "d1")
    released = IdentityReleased(submission=given, ins_status=InsStatus.VALIDEE, reason="seen")
    facts = await world.commit(world.announce(released, "d1"))
    assert kinds(facts) == ["mssante_professional"]
    assert {one.reason.value for one in suppressed(facts)} == {"IDENTITY_NOT_QUALIFIED"}


async def test_a_hold_and_a_rejection_at_identity_stop_what_was_planned(world: World) -> None:
    await world.commit(await world.verified("r1", "d1"))
    given = await world.sealed("r2", "d1")
    noted = IdentityHeld(submission=given, reasons=(HoldReason.IDENTITY_DISAGREES,))
    facts = await world.commit(
        world.announce(noted, "d1"), world.announce(IdentityRejected(document="d1", request="r2", reason="no"), "d1")
    )
    assert [type(fact).__name__ for fact in facts] == ["DocumentHeld", "RejectionNoted", "RouteSuppressed"]
    (gone,) = [fact for fact in facts if isinstance(fact, RouteSuppressed)]
    assert [one.ordinal for one in gone.suppressed] == [1, 2, 3]


async def test_an_erased_subject_and_a_broken_seal_are_held_and_their_neighbours_go_on(world: World) -> None:
    good, broken = await world.verified("r1", "d1"), await world.sealed("r2", "d2")
    changed = msgspec.structs.replace(broken, sealed=broken.sealed[::-1])
    facts = await world.commit(good, world.announce(IdentityVerified(submission=changed, ins_status=InsStatus.QUALIFIEE), "d2"))
    assert held(facts) == ["FACT_UNREADABLE"]
    assert len(planned(facts)) == 3
    erased = await world.verified("r3", "d3")
    await world.keys.erase(TENANT, (await world.subject()).subject)
    assert held(await world.commit(erased)) == ["SUBJECT_ERASED"]


async def test_a_fact_that_cannot_be_read_parks_its_document_and_what_follows(world: World) -> None:
    nothing = IdentityRejected(document="d1", request="r0", reason="")
    strange = world.announce(nothing, "d1", tag="identity.future.v9", payload=b"{}")
    facts = await world.commit(strange, await world.verified("r1", "d1"), await world.verified("r2", "d2"))
    assert [type(fact) for fact in facts] == [RouteParked, DocumentHeld, RoutePlanned]


@pytest.mark.parametrize(("start", "birth", "held_for"), [
    (datetime(2026, 5, 1, 9, 0, tzinfo=UTC), "20080501", ["MINOR_OR_AGE_UNKNOWN"]),
    (datetime(2026, 5, 1, 10, 0, tzinfo=UTC), "20080501", []),
])  # fmt: skip
async def test_the_age_is_counted_on_the_day_of_the_decision(start: datetime, birth: str, held_for: list[str]) -> None:
    world = World(start)
    await world.activate("tenant", EVERYTHING)
    person: dict[str, Any] = {"header": {"patient_birth_time": birth}, "identity": {"birth_date": birth}}
    facts = await world.commit(await world.verified("r1", "d1", flags=flags(ROW_3, invisible_rep_legaux=True), **person))
    assert held(facts) == held_for


async def test_what_waits_is_listed_with_its_fact_and_taken_off_with_the_rejection(world: World) -> None:
    delivered = await world.verified("r1", "d1", flags=OUTSIDE)
    (append,) = await world.handler.handle([delivered])
    assert [(row["op"], row["document"], row["request"], row["rules"]) for row in append.work] == [
        ("held", "d1", "r1", ["matrix.exhaustive"])
    ]
    await world.commit(delivered)
    (closing,) = await world.handler.handle([world.announce(IdentityRejected(document="d1", request="r9", reason="no"), "d1")])
    assert [(row["op"], row["request"]) for row in closing.work] == [("closed", None)]


async def test_destination_keys_tell_a_repeat_and_nothing_about_the_recipient(world: World) -> None:
    first = planned(await world.commit(await world.verified("r1", "d1")))
    other = planned(await world.commit(await world.verified("r2", "d2")))
    assert not {one.key for one in first} & {one.key for one in other}
    again = await world.commit(await world.verified("r3", "d1"))
    assert [one.reason.value for one in suppressed(again)] == ["ALREADY_SERVED"] * 3


async def test_facts_that_say_nothing_to_routing_have_no_effect(world: World) -> None:
    assert await world.commit(world.announce(PolicyActivated(scope="tenant", version=1, policy=EVERYTHING), "d1")) == []
