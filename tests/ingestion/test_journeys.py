"""Attacks the read model: no order in which the logs speak, and no cut into batches, may change where a document is said to be."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relais.contracts import Fact, encode
from relais.contracts.delivery import DeliveryDeferred, DeliveryParked, DeliverySucceeded
from relais.contracts.identity import IdentityVerified
from relais.contracts.reasons import HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind, PlannedDestination, RoutePlanned, RouteSuppressed, SuppressedDestination
from relais.contracts.submission import InsStatus
from relais.ingestion.journeys import JourneysKeeper, delta_of, merge
from relais.transport.bus import Announcement, Delivered
from tests.ingestion.test_domain import submission

PLANNED = RoutePlanned(
    submission=submission("r1"),
    ins_status=InsStatus.QUALIFIEE,
    destinations=tuple(
        PlannedDestination(ordinal=n, kind=DestinationKind.DMP, connector="https", endpoint="e", key=b"", rule="R") for n in (0, 1)
    ),
    policy="site:s",
    policy_version=1,
    matrix="2026-04-21",
)
SUPPRESSED = RouteSuppressed(
    document="d",
    request="r1",
    suppressed=(SuppressedDestination(kind=DestinationKind.DMP, reason=SuppressReason.OPPOSITION, rule="R"),),
    policy="site:s",
    policy_version=1,
    matrix="2026-04-21",
)
BY_LOG: dict[str, list[Fact]] = {
    "identity": [IdentityVerified(submission=submission("r1"), ins_status=InsStatus.QUALIFIEE)],
    "routing": [PLANNED, SUPPRESSED],
    "delivery": [
        DeliveryDeferred(document="d", ordinal=0, attempt=1, endpoint="e", code="503", due_at="2026-01-01T00:00:10+00:00"),
        DeliverySucceeded(document="d", ordinal=0, attempt=2, endpoint="e", status="200"),
        DeliverySucceeded(document="d", ordinal=1, attempt=1, endpoint="e", status="200"),
    ],
}


def delivered(log: str, position: int, fact: Fact) -> Delivered:
    announcement = Announcement(
        log=log,
        partition=0,
        position=position,
        previous=position - 1,
        tag=fact.TAG,
        tenant="t",
        stream="d",
        version=position,
        event_id="",
        recorded_at=f"2026-01-01T00:00:0{position}+00:00",
        actor="a",
        traceparent="",
        payload=encode(fact),
    )
    return Delivered(position, announcement)


async def test_a_batch_becomes_one_row_for_each_document() -> None:
    batch = [delivered("delivery", n, fact) for n, fact in enumerate(BY_LOG["delivery"], start=1)]
    (append,) = await JourneysKeeper().handle(batch)
    (row,) = append.work
    assert row["outcomes"] == {
        "0": {"outcome": "succeeded", "code": "200", "attempt": 2, "due_at": ""},
        "1": {"outcome": "succeeded", "code": "200", "attempt": 1, "due_at": ""},
    }


async def test_a_fact_of_a_newer_build_is_a_step_and_stops_nothing() -> None:
    known = delivered("delivery", 1, BY_LOG["delivery"][1])
    newer = Delivered(2, replace(known.announcement, tag="delivery.teleported.v1", payload=b"{}", position=2))
    (append,) = await JourneysKeeper().handle([known, newer])
    steps = append.work[0]["steps"]
    assert isinstance(steps, list)
    assert [step["tag"] for step in steps] == ["delivery.succeeded.v1", "delivery.teleported.v1"]


async def test_facts_that_say_nothing_about_a_document_add_no_row() -> None:
    assert await JourneysKeeper().handle([]) == []


@given(st.randoms(use_true_random=False))
def test_the_logs_may_speak_in_any_order(chance: Random) -> None:
    def row(order: list[str]) -> dict[str, object]:
        queues = {log: iter(list(enumerate(facts, start=1))) for log, facts in BY_LOG.items()}
        merged: dict[str, object] = {}
        for log in order:
            position, fact = next(queues[log])
            delta = delta_of(fact, log, position, f"2026-01-01T00:00:0{position}+00:00")
            assert delta is not None
            merged = merge(merged, delta)
        merged.pop("updated_at")
        steps = merged.pop("steps")
        assert isinstance(steps, list)
        return {**merged, "steps": sorted(steps, key=lambda step: (step["log"], step["position"]))}

    straight = [log for log, facts in BY_LOG.items() for _ in facts]
    shuffled = list(straight)
    chance.shuffle(shuffled)
    assert row(shuffled) == row(straight)


async def test_what_delivery_parked_is_held_until_an_outcome_follows() -> None:
    parked = DeliveryParked(document="d", reason=HoldReason.FACT_UNREADABLE, log="routing", position=4, tag="routing.planned.v1")
    (held,) = await JourneysKeeper().handle([delivered("delivery", 1, parked)])
    assert held.work[0]["hold"] == {"delivery": "held"}
    (freed,) = await JourneysKeeper().handle([delivered("delivery", 1, parked), delivered("delivery", 2, BY_LOG["delivery"][1])])
    assert freed.work[0]["hold"] == {"delivery": "released"}
