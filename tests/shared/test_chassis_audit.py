"""Attacks the audit service: nothing missed, nothing sealed shown without a right and a reason, every look is itself a fact."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio
import pytest

from relais.api.audit.v1 import audit_pb2, audit_pb2_grpc
from relais.contracts import encode
from relais.contracts.header import Code, HeaderExtract, Identifier
from relais.contracts.identity import IdentityRejected, IdentityVerified
from relais.contracts.registry import CredentialRegistered
from relais.contracts.submission import BodyReference, DeclaredIdentity, Flags, InsStatus, Opposition, SealedContent, Submission
from relais.eventlog.record import Append, NewEvent
from relais.vault.seal import document_key, seal_content
from tests.shared.chassis_edge import Edge, running_edge
from tests.shared.test_access_gate import reason_of, refused

SECONDS = 10.0
DOCUMENT = "5f0c2f5e-8a8e-8b8e-9f52-0f3f6f1f0a01"
NAME = "Zéphyrine"
READ = "access.document_read.v1"


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with running_edge(tmp_path) as running:
        yield running


async def stub(edge: Edge, who: Any = None) -> Any:
    return audit_pb2_grpc.AuditServiceStub(await edge.channel(who or edge.reader))


def event(number: int, tenant: str = "chu", payload: bytes = b"{}", tag: str = "identity.rejected.v1", stream: str = "") -> Append:
    stream = stream or f"d{number}"
    return Append((NewEvent(tenant=tenant, stream=stream, tag=tag, payload=payload, event_id=uuid4(), partition=0, actor="test"),))


async def store(edge: Edge, count: int, tenant: str = "chu") -> None:
    payload = encode(IdentityRejected(document="d", request="r", reason="x"))
    for start in range(0, count, 500):
        await edge.log.append([event(number, tenant, payload) for number in range(start, min(count, start + 500))])


async def store_sealed(edge: Edge) -> bytes:
    (key,) = await edge.keys.subjects_for([("chu", b"identity")])
    content = SealedContent(
        header=HeaderExtract(id=Identifier(root="1.2"), type=Code(code="11488-4")), identity=DeclaredIdentity(birth_family_name=NAME)
    )
    submission = Submission(
        document=DOCUMENT,
        request=str(uuid4()),
        site="north",
        sender="his",
        subject=str(key.subject),
        type_code="11488-4",
        flags=Flags(**dict.fromkeys(Flags.__struct_fields__, False)),
        opposition=Opposition.NO,
        recipients_count=0,
        received_at="2026-03-01T08:00:00Z",
        body=BodyReference(blob=str(uuid4()), size=1, chunks=1, ciphertext_sha256=b"x"),
        sealed=seal_content(document_key(key, DOCUMENT), DOCUMENT, content),
    )
    payload = encode(IdentityVerified(submission=submission, ins_status=InsStatus.QUALIFIEE))
    await edge.log.append([event(0, payload=payload, tag="identity.verified.v1", stream=DOCUMENT)])
    return payload


async def read(edge: Edge, who: Any = None, **fields: Any) -> list[Any]:
    request = audit_pb2.ReadEventsRequest(**{"parent": "tenants/chu", **fields})
    return [frame async for frame in (await stub(edge, who)).ReadEvents(request, timeout=SECONDS)]


def events(frames: list[Any]) -> list[Any]:
    return [frame.event for frame in frames if frame.WhichOneof("frame") == "event" and not frame.event.tag.startswith("access.")]


async def reads(edge: Edge) -> list[dict[str, Any]]:
    stored = [one for after in range(0, await edge.log.head(), 500) for one in await edge.log.read(after)]
    return [{**json.loads(one.payload), "actor": one.actor, "tenant": one.tenant} for one in stored if one.tag == READ]


async def test_every_event_of_the_tenant_is_read_once_in_order_then_caught_up(edge: Edge) -> None:
    await store(edge, 700)
    await store(edge, 3, "clinic")
    await store(edge, 600)
    frames = await read(edge)
    positions = [one.position for one in events(frames)]
    assert positions == [*range(1, 701), *range(704, 1304)]
    assert frames[-1].caught_up.position >= 1303
    assert {one.tenant for one in events(frames)} == {"chu"}
    assert any(frame.WhichOneof("frame") == "checkpoint" for frame in frames)


async def test_a_read_goes_on_from_any_position_with_filters(edge: Edge) -> None:
    await store(edge, 20)
    assert [one.position for one in events(await read(edge, from_position=18))] == [18, 19, 20]
    assert events(await read(edge, tags=["identity.held.v1"])) == []
    assert [one.stream for one in events(await read(edge, streams=["d3", "d5"]))] == ["d3", "d5"]
    assert events(await read(edge, from_position=10**9)) == []


async def test_an_event_is_shown_as_it_is_stored(edge: Edge) -> None:
    await store(edge, 1)
    (shown,) = events(await read(edge))
    (stored,) = await edge.log.read(0, 1)
    assert (shown.payload, shown.event_id, shown.actor, shown.version) == (stored.payload, str(stored.event_id), "test", 1)
    assert shown.record_time.ToDatetime(UTC) == stored.recorded_at
    assert shown.record_time.ToDatetime(UTC) <= datetime.now(UTC)


async def test_a_follower_gets_what_comes(edge: Edge) -> None:
    call: Any = (await stub(edge)).ReadEvents(audit_pb2.ReadEventsRequest(parent="tenants/chu", follow=True), timeout=SECONDS)
    kinds = []
    async for frame in call:
        kinds.append(frame.WhichOneof("frame"))
        if kinds[-1] == "caught_up":
            await store(edge, 1)
        if kinds[-1] == "event" and frame.event.tag == "identity.rejected.v1":
            break
    assert kinds[-2:] == ["caught_up", "event"]
    call.cancel()


async def test_a_follower_that_loses_touch_is_told_so(edge: Edge) -> None:
    call: Any = (await stub(edge)).ReadEvents(audit_pb2.ReadEventsRequest(parent="tenants/chu", follow=True), timeout=SECONDS)
    kinds: list[str] = []
    async for frame in call:
        kind = frame.WhichOneof("frame")
        kinds += [kind] if not kinds or kinds[-1] != kind else []
        if kind == "caught_up" and "fell_behind" not in kinds:
            await store(edge, 1200)
        if kind == "caught_up" and "fell_behind" in kinds:
            break
    assert [kind for kind in kinds if kind != "checkpoint"].index("fell_behind") > kinds.index("caught_up")
    call.cancel()


async def test_sealed_parts_are_left_out_and_named(edge: Edge) -> None:
    payload = await store_sealed(edge)
    (shown,) = events(await read(edge))
    assert list(shown.sealed_fields) == ["submission.sealed"]
    left = json.loads(shown.payload)
    assert left["submission"].pop("sealed") == ""
    whole = json.loads(payload)
    del whole["submission"]["sealed"]
    assert left == whole
    assert shown.opened == b""


async def test_sealed_parts_are_opened_for_a_right_and_a_reason_and_that_is_a_fact_first(edge: Edge) -> None:
    payload = await store_sealed(edge)
    (shown,) = events(await read(edge, reveal=True, reason="complaint 12"))
    assert shown.payload == payload
    assert json.loads(shown.opened)["submission.sealed"]["identity"]["birth_family_name"] == NAME
    revealed = [fact for fact in await reads(edge) if fact.get("revealed")]
    assert {"documents": [DOCUMENT], "reason": "complaint 12", "actor": edge.reader.credential, "tenant": "chu"}.items() <= revealed[
        -1
    ].items()


async def test_a_destroyed_key_leaves_the_fact_and_opens_nothing(edge: Edge) -> None:
    await store_sealed(edge)
    (key,) = await edge.keys.subjects_for([("chu", b"identity")])
    await edge.keys.erase("chu", key.subject)
    (shown,) = events(await read(edge, reveal=True, reason="complaint 12"))
    assert shown.opened == b""
    assert shown.tag == "identity.verified.v1"


async def test_without_a_reason_or_the_right_nothing_is_opened(edge: Edge) -> None:
    await store_sealed(edge)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read(edge, reveal=True, reason="  ")
    assert reason_of(caught.value) == "REASON_MISSING"
    edge.directory.evolve(CredentialRegistered(tenant="chu", credential=edge.stranger.credential, permissions=("AUDIT_READ",)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read(edge, edge.stranger, reveal=True, reason="complaint 12")
    assert reason_of(caught.value) == "PERMISSION_MISSING"
    assert len(events(await read(edge, edge.stranger))) == 1


async def test_who_reaches_some_sites_only_reads_no_log(edge: Edge) -> None:
    edge.directory.evolve(
        CredentialRegistered(tenant="chu", credential=edge.stranger.credential, permissions=("AUDIT_READ",), sender="his")
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read(edge, edge.stranger)
    assert reason_of(caught.value) == "RESOURCE_FOREIGN"


async def test_a_follower_that_opens_does_not_follow_its_own_traces_for_ever(edge: Edge) -> None:
    await store_sealed(edge)
    request = audit_pb2.ReadEventsRequest(parent="tenants/chu", follow=True, reveal=True, reason="complaint 12")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in (await stub(edge)).ReadEvents(request, timeout=1.5):
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(await reads(edge)) == 2


@pytest.mark.parametrize("fields", [{"log": "routing"}, {"from_position": -1}, {"tags": ["t"] * 65}, {"parent": "tenants/chu/documents/1"}])
async def test_a_request_that_cannot_be_read_is_refused(edge: Edge, fields: dict[str, Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read(edge, **fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_is_read_in_pages(edge: Edge) -> None:
    for number in range(5):
        await edge.log.append([event(number, stream=DOCUMENT)])
    service = await stub(edge)
    versions, token = [], ""
    while True:
        request = audit_pb2.GetStreamRequest(parent="tenants/chu", stream=DOCUMENT, page_size=2, page_token=token)
        page = await service.GetStream(request, timeout=SECONDS)
        versions.append([one.version for one in page.events])
        token = page.next_page_token
        if not token:
            break
    assert versions == [[1, 2], [3, 4], [5]]
    assert all(fact["documents"] == [DOCUMENT] for fact in await reads(edge))


async def test_another_tenants_stream_of_the_same_name_is_not_shown(edge: Edge) -> None:
    await edge.log.append([event(1, "clinic", stream=DOCUMENT)])
    service = await stub(edge)
    page = await service.GetStream(audit_pb2.GetStreamRequest(parent="tenants/chu", stream=DOCUMENT), timeout=SECONDS)
    assert list(page.events) == []
    code, _, _ = await refused(service.GetStream(audit_pb2.GetStreamRequest(parent="tenants/-", stream=DOCUMENT), timeout=SECONDS))
    assert code is grpc.StatusCode.PERMISSION_DENIED
