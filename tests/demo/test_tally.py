"""Attacks the board's numbers: whatever order the logs are read in, and however often, each document is counted where it is."""

from datetime import UTC, datetime
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.client.audit import Event
from relais.demo.tally import Tally

REQUEST = "r1"
DOCUMENT = "d1"


def event(log: str, position: int, tag: str, stream: str = DOCUMENT, **said: object) -> Event:
    return Event(
        log=log,
        position=position,
        tenant="demo",
        tenant_sequence=position,
        stream=stream,
        version=1,
        event_id="",
        tag=tag,
        partition=0,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        actor="",
        traceparent="",
        payload=msgspec.json.encode(said),
        sealed_fields=(),
        opened=b"",
    )


RECEIVED = event("ingestion", 1, "ingestion.document_received.v1", submission={"request": REQUEST})
VERIFIED = event("identity", 1, "identity.verified.v1")
PLANNED = event(
    "routing",
    1,
    "routing.planned.v1",
    destinations=[{"ordinal": 1, "endpoint": "sandbox-one"}, {"ordinal": 2, "endpoint": "sandbox-two"}],
)
SUPPRESSED = event("routing", 2, "routing.suppressed.v1", suppressed=[{"kind": "dmp", "reason": "OPPOSITION"}])
DEFERRED = event("delivery", 1, "delivery.deferred.v1", f"{DOCUMENT}/2", ordinal=2)
FIRST = event("delivery", 2, "delivery.succeeded.v1", f"{DOCUMENT}/1", ordinal=1)
SECOND = event("delivery", 3, "delivery.abandoned.v1", f"{DOCUMENT}/2", ordinal=2)
CARRIED = [RECEIVED, VERIFIED, PLANNED, SUPPRESSED, DEFERRED, FIRST, SECOND]


def tally_of(*events: Event) -> Tally:
    tally = Tally([REQUEST])
    for each in events:
        tally.see(each)
    return tally


@pytest.mark.parametrize(
    ("seen", "state", "settled"),
    [
        (CARRIED[:1], "RECEIVED", 0),
        (CARRIED[:2], "VERIFIED", 0),
        (CARRIED[:4], "DELIVERING", 0),
        (CARRIED[:6], "WAITING", 0),
        (CARRIED, "DONE", 1),
        ([RECEIVED, event("identity", 1, "identity.held.v1", reasons=["INS_KEY_WRONG"])], "HELD", 1),
        ([RECEIVED, VERIFIED, event("routing", 1, "routing.document_held.v1", reasons=["POLICY_MISSING"])], "HELD", 1),
        ([RECEIVED, VERIFIED, event("routing", 1, "routing.planned.v1", destinations=[])], "DONE", 1),
    ],
)
def test_a_document_is_counted_where_it_is(seen: list[Event], state: str, settled: int) -> None:
    tally = tally_of(*seen)
    assert dict(tally.count()) == {state: 1}
    assert tally.settled == settled
    assert len(list(tally.unsettled())) == 1 - settled


@given(st.randoms(use_true_random=False))
def test_the_logs_may_be_read_in_any_order_and_more_than_once(chance: Random) -> None:
    queues = {log: [each for each in CARRIED if each.log == log] for log in ("ingestion", "identity", "routing", "delivery")}
    order = [each.log for each in CARRIED]
    chance.shuffle(order)
    seen = [queues[log].pop(0) for log in order]
    tally = tally_of(*seen, *seen)
    assert dict(tally.count()) == {"DONE": 1}
    assert tally.destinations() == {"sandbox-one": {"succeeded": 1}, "sandbox-two": {"abandoned": 1}}
    assert (len(tally.delivered_at), tally.journeys[DOCUMENT].deferred, tally.journeys[DOCUMENT].suppressed) == (
        1,
        {2},
        [("dmp", "OPPOSITION")],
    )


def test_what_others_send_at_the_same_time_is_not_ours() -> None:
    others = event("ingestion", 7, "ingestion.document_received.v1", "d2", submission={"request": "somebody else's"})
    tally = tally_of(others, event("identity", 7, "identity.verified.v1", "d2"), *CARRIED)
    assert list(tally.journeys) == [DOCUMENT]


def test_a_hold_is_not_settled_before_what_may_already_go_has_arrived() -> None:
    held = event("routing", 2, "routing.document_held.v1", reasons=["MINOR_OR_AGE_UNKNOWN"])
    assert tally_of(RECEIVED, VERIFIED, PLANNED, held, FIRST).settled == 0
    assert tally_of(RECEIVED, VERIFIED, PLANNED, held, FIRST, SECOND).settled == 1
