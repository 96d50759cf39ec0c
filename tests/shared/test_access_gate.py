"""Attacks the gate: who gets in, who does not, what they are told, and what is recorded of it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from joserfc.jwk import ECKey

from relais.api.audit.v1 import audit_pb2, audit_pb2_grpc
from relais.api.ingestion.v1 import ingestion_pb2
from relais.contracts import decode
from relais.contracts.access import AccessDenied
from relais.contracts.registry import CredentialRegistered, CredentialRevoked
from relais.testing.access_walk import Walkers, walk_access
from tests.shared.chassis_edge import ABSENT, BUG, ISSUER, Edge, running_edge

SECONDS = 5.0
OURS = "tenants/chu/documents/1"
FOREIGN = "tenants/clinic/documents/1"


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with running_edge(tmp_path) as running:
        yield running


async def refused(call: Any) -> tuple[grpc.StatusCode, str, grpc.aio.AioRpcError]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    return error.code(), reason_of(error), error


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    trailers: Any = error.trailing_metadata()
    details = next((value for key, value in trailers if key == "grpc-status-details-bin"), b"")
    return status_pb2.Status.FromString(details)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in status_of(error).details:
        if detail.Unpack(info):
            assert info.domain == "relais"
            return str(info.reason)
    return ""


async def denials(edge: Edge) -> list[tuple[str, AccessDenied]]:
    await edge.recorder.flush()
    facts = [(event.tenant, decode(event.tag, event.payload)) for event in await edge.log.read(0)]
    return [(tenant, fact) for tenant, fact in facts if isinstance(fact, AccessDenied)]


def get(name: str) -> Any:
    return ingestion_pb2.GetDocumentRequest(name=name)


async def test_a_registered_certificate_gets_in_and_the_handler_knows_whose_it_is(edge: Edge) -> None:
    answer = await (await edge.stub(edge.reader)).GetDocument(get(OURS), timeout=SECONDS)
    assert answer.name == OURS
    principal = edge.servicer.seen[0]
    assert (principal.credential, principal.tenant, principal.sites) == (edge.reader.credential, "chu", None)


async def test_every_method_refuses_nobody_strangers_the_powerless_and_other_tenants(edge: Edge) -> None:
    walkers = Walkers(
        authority=edge.authority,
        port=edge.server.port,
        token_port=edge.server.token_port,
        tenant="chu",
        anyone=edge.powerless,
        powerless=edge.powerless,
        foreign=edge.foreign,
        stranger=edge.stranger,
    )
    walked = await walk_access(walkers, existing=[OURS])
    assert "/relais.api.ingestion.v1.IngestionService/SubmitDocuments" in walked
    assert "/relais.api.audit.v1.AuditService/ReadEvents" in walked
    assert len(walked) == 11


async def test_a_foreign_resource_is_refused_alike_whether_it_exists_or_not(edge: Edge) -> None:
    stub = await edge.stub(edge.foreign)
    first = await refused(stub.GetDocument(get(OURS), timeout=SECONDS))
    second = await refused(stub.GetDocument(get(ABSENT), timeout=SECONDS))
    assert first[:2] == second[:2] == (grpc.StatusCode.PERMISSION_DENIED, "RESOURCE_FOREIGN")
    assert status_of(first[2]) == status_of(second[2])
    assert edge.servicer.seen == []


async def test_who_reaches_one_site_learns_nothing_of_the_others(edge: Edge) -> None:
    stub = await edge.stub(edge.sender)
    exists = await refused(stub.GetDocument(get(OURS), timeout=SECONDS))
    absent = await refused(stub.GetDocument(get(ABSENT), timeout=SECONDS))
    assert status_of(exists[2]) == status_of(absent[2])
    assert exists[1] == "RESOURCE_FOREIGN"


async def test_who_reaches_every_site_is_told_what_does_not_exist(edge: Edge) -> None:
    code, reason, _ = await refused((await edge.stub(edge.reader)).GetDocument(get(ABSENT), timeout=SECONDS))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_a_unary_call_without_a_deadline_is_refused(edge: Edge) -> None:
    code, reason, _ = await refused((await edge.stub(edge.reader)).GetDocument(get(OURS)))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_MISSING")


@pytest.mark.parametrize("name", ["", "documents/1", "tenants//documents/1", "/tenants/chu", "Tenants/chu/documents/1"])
async def test_a_name_of_no_tenant_is_refused_and_never_taken_for_ones_own(edge: Edge, name: str) -> None:
    code, reason, _ = await refused((await edge.stub(edge.reader)).GetDocument(get(name), timeout=SECONDS))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "RESOURCE_NAME_INVALID")


async def test_all_tenants_at_once_are_for_the_platforms_own_credentials(edge: Edge) -> None:
    stub = audit_pb2_grpc.AuditServiceStub(await edge.channel(edge.reader))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.ReadEvents(audit_pb2.ReadEventsRequest(parent="tenants/-"), timeout=SECONDS):
            pass
    assert reason_of(caught.value) == "RESOURCE_FOREIGN"


async def test_the_missing_permission_is_named_in_both_languages(edge: Edge) -> None:
    _, _, error = await refused((await edge.stub(edge.powerless)).GetDocument(get(OURS), timeout=SECONDS))
    info, message = error_details_pb2.ErrorInfo(), error_details_pb2.LocalizedMessage()
    details = status_of(error).details
    assert details[0].Unpack(info)
    assert details[1].Unpack(message)
    assert (info.reason, info.metadata["permission"]) == ("PERMISSION_MISSING", "DOCUMENT_READ")
    assert message.locale == "fr-FR"
    assert "permission" in message.message


async def test_a_method_outside_the_contract_has_no_entry(edge: Edge) -> None:
    channel = await edge.channel(edge.reader)
    call: Any = channel.unary_unary("/relais.api.ingestion.v1.IngestionService/Jeanne", lambda _: b"", lambda raw: raw)
    code, reason, _ = await refused(call(None, timeout=SECONDS))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "METHOD_CLOSED")
    assert [fact.method for _, fact in await denials(edge)] == ["*"]


async def test_a_defect_tells_the_caller_nothing_of_what_broke(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    code, reason, error = await refused((await edge.stub(edge.reader)).GetDocument(get(BUG), timeout=SECONDS))
    assert (code, reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "Jeanne" not in f"{error} {status_of(error)} {capsys.readouterr()}"


async def test_a_stream_names_its_tenant_in_each_message_and_goes_on_after_a_foreign_one(edge: Edge) -> None:
    stub = await edge.stub(edge.reader)
    requests = [
        ingestion_pb2.SubmitDocumentsRequest(correlation=1, request=ingestion_pb2.SubmitDocumentRequest(parent="tenants/clinic")),
        ingestion_pb2.SubmitDocumentsRequest(correlation=2),
    ]
    answers = [answer async for answer in stub.SubmitDocuments(iter(requests), timeout=SECONDS)]
    assert [answer.status.code for answer in answers] == [grpc.StatusCode.PERMISSION_DENIED.value[0], 0]
    assert answers[1].receipt.document == "chu"


async def test_every_denial_is_a_fact_and_equal_ones_are_counted(edge: Edge) -> None:
    foreign, stranger = await edge.stub(edge.foreign), await edge.stub(edge.stranger)
    for _ in range(3):
        await refused(foreign.GetDocument(get(OURS), timeout=SECONDS))
    await refused(stranger.GetDocument(get(OURS), timeout=SECONDS))
    method = "/relais.api.ingestion.v1.IngestionService/GetDocument"
    written: dict[tuple[str, str, str], int] = {}
    for tenant, fact in await denials(edge):
        assert fact.method == method
        key = (tenant, fact.code, fact.credential)
        written[key] = written.get(key, 0) + fact.count
    assert written == {
        ("clinic", "RESOURCE_FOREIGN", edge.foreign.credential): 3,
        ("platform", "CREDENTIAL_UNKNOWN", edge.stranger.credential): 1,
    }


async def test_a_credential_registered_while_the_server_runs_gets_in_at_once(edge: Edge) -> None:
    stub = await edge.stub(edge.stranger)
    await refused(stub.GetDocument(get(OURS), timeout=SECONDS))
    edge.directory.evolve(CredentialRegistered(tenant="chu", credential=edge.stranger.credential, permissions=("DOCUMENT_READ",)))
    assert (await stub.GetDocument(get(OURS), timeout=SECONDS)).name == OURS


async def test_a_revoked_credential_loses_its_open_stream_at_the_next_message(edge: Edge) -> None:
    call: Any = (await edge.stub(edge.reader)).SubmitDocuments(timeout=SECONDS)
    await call.write(ingestion_pb2.SubmitDocumentsRequest(correlation=1))
    assert (await call.read()).correlation == 1
    edge.directory.evolve(CredentialRevoked(tenant="chu", credential=edge.reader.credential))
    await call.write(ingestion_pb2.SubmitDocumentsRequest(correlation=2))
    code, reason, _ = await refused(call.read())
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_UNKNOWN")


async def test_a_stream_outlives_what_others_register(edge: Edge) -> None:
    call: Any = (await edge.stub(edge.reader)).SubmitDocuments(timeout=SECONDS)
    await call.write(ingestion_pb2.SubmitDocumentsRequest(correlation=1))
    assert (await call.read()).correlation == 1
    edge.directory.evolve(CredentialRevoked(tenant="clinic", credential=edge.foreign.credential))
    await call.write(ingestion_pb2.SubmitDocumentsRequest(correlation=2))
    assert (await call.read()).correlation == 2


def claims(subject: str = "alice", **changed: Any) -> dict[str, Any]:
    return {"iss": ISSUER, "aud": "relais", "sub": subject, "exp": int(time.time()) + 600, **changed}


async def test_a_signed_token_gets_in_on_the_port_that_asks_for_no_certificate(edge: Edge) -> None:
    credential = f"jwt:{ISSUER}:alice"
    edge.directory.evolve(CredentialRegistered(tenant="chu", credential=credential, permissions=("DOCUMENT_READ",)))
    stub = await edge.stub(None, token_port=True)
    metadata = (("authorization", f"Bearer {edge.token(claims())}"),)
    assert (await stub.GetDocument(get(OURS), timeout=SECONDS, metadata=metadata)).name == OURS
    assert edge.servicer.seen[0].credential == credential


async def test_with_a_certificate_and_a_token_the_token_speaks(edge: Edge) -> None:
    stub = await edge.stub(edge.reader)
    metadata = (("authorization", f"Bearer {edge.token(claims('nobody-known'))}"),)
    _, reason, _ = await refused(stub.GetDocument(get(OURS), timeout=SECONDS, metadata=metadata))
    assert reason == "CREDENTIAL_UNKNOWN"


OTHER_KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"aud": "another"}, "TOKEN_INVALID"),
        ({"aud": None}, "TOKEN_INVALID"),
        ({"iss": "https://else.test"}, "TOKEN_INVALID"),
        ({"sub": ""}, "TOKEN_INVALID"),
        ({"sub": "Jeanne Martin"}, "TOKEN_INVALID"),
        ({"exp": None}, "TOKEN_INVALID"),
        ({"exp": True}, "TOKEN_INVALID"),
        ({"exp": int(time.time()) + 10**9}, "TOKEN_INVALID"),
        ({"exp": int(time.time()) - 1}, "TOKEN_EXPIRED"),
        ({"nbf": int(time.time()) + 3600}, "TOKEN_EXPIRED"),
    ],
)
async def test_a_token_that_is_not_for_us_or_not_for_now_is_refused(edge: Edge, changed: dict[str, Any], reason: str) -> None:
    content = {name: value for name, value in claims(**changed).items() if value is not None}
    metadata = (("authorization", f"Bearer {edge.token(content)}"),)
    stub = await edge.stub(None, token_port=True)
    code, told, _ = await refused(stub.GetDocument(get(OURS), timeout=SECONDS, metadata=metadata))
    assert (code, told) == (grpc.StatusCode.UNAUTHENTICATED, reason)


async def test_a_token_signed_by_another_key_under_our_key_id_is_refused(edge: Edge) -> None:
    metadata = (("authorization", f"Bearer {edge.token(claims(), OTHER_KEY)}"),)
    stub = await edge.stub(None, token_port=True)
    assert (await refused(stub.GetDocument(get(OURS), timeout=SECONDS, metadata=metadata)))[1] == "TOKEN_INVALID"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer a.b.c", "Bearer e30.e30.", "Bearer " + "x" * 9000])
async def test_what_is_no_token_is_refused_as_one(edge: Edge, header: str) -> None:
    stub = await edge.stub(None, token_port=True)
    assert (await refused(stub.GetDocument(get(OURS), timeout=SECONDS, metadata=(("authorization", header),))))[1] == "TOKEN_INVALID"
