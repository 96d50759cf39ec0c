"""Attacks the server: limits, a renewed certificate, taken ports, and an end that loses nothing that was begun."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from relais.api.ingestion.v1 import ingestion_pb2
from relais.chassis.api.health import LIVENESS, READINESS, Health
from relais.chassis.api.server import MESSAGE_BYTES_MAXIMUM, ApiServer, ListenRefused
from relais.chassis.api.tls import TlsRefused, certificate_expiry, check_tls, server_credentials
from relais.chassis.config import Address
from relais.chassis.metrics import Metrics
from relais.clock import SystemClock
from relais.testing.certificates import TestAuthority
from relais.testing.clock import ManualClock
from tests.shared.chassis_edge import Edge, running_edge
from tests.shared.test_access_gate import reason_of, refused

SECONDS = 10.0
OURS = "tenants/chu/documents/1"


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with running_edge(tmp_path) as running:
        yield running


async def test_four_mebibytes_and_a_byte_reach_our_own_answer_and_more_than_eight_do_not(edge: Edge) -> None:
    stub = await edge.stub(edge.reader)
    fits = ingestion_pb2.SubmitDocumentRequest(document=bytes(4 * 1024 * 1024 + 1))
    assert (await stub.SubmitDocument(fits, timeout=SECONDS)).document == "chu"
    too_large = ingestion_pb2.SubmitDocumentRequest(document=bytes(MESSAGE_BYTES_MAXIMUM))
    code, _, _ = await refused(stub.SubmitDocument(too_large, timeout=SECONDS))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_caller_with_a_certificate_of_another_authority_gets_no_connection(edge: Edge) -> None:
    other = TestAuthority().client("reader")
    code, _, _ = await refused((await edge.stub(other)).GetDocument(ingestion_pb2.GetDocumentRequest(name=OURS), timeout=SECONDS))
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_is_served_without_a_restart(edge: Edge, tmp_path: Path) -> None:
    renewed = TestAuthority()
    before = certificate_expiry(renewed.server(tmp_path))
    assert before is not None
    caller = renewed.client("reader")
    async with renewed.channel(edge.server.port, caller) as channel:
        call: Any = channel.unary_unary("/relais.api.ingestion.v1.IngestionService/GetDocument", lambda _: b"", lambda raw: raw)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(None, timeout=SECONDS)
    # The handshake went well with the new authority on both sides; the credential is not registered.
    assert reason_of(caught.value) == "CREDENTIAL_UNKNOWN"


async def test_a_broken_renewal_leaves_the_old_certificate_in_force(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "server.key").write_text("half a key")
    answer = await (await edge.stub(edge.reader)).GetDocument(ingestion_pb2.GetDocumentRequest(name=OURS), timeout=SECONDS)
    assert answer.name == OURS


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    tls = TestAuthority().server(tmp_path)
    check_tls(tls)
    other = tmp_path / "other"
    other.mkdir()
    TestAuthority().server(other)
    (tmp_path / "server.key").write_bytes((other / "server.key").read_bytes())
    with pytest.raises(TlsRefused):
        server_credentials(tls, require_certificate=True)


async def test_a_taken_port_is_refused_and_not_shared(edge: Edge, tmp_path: Path) -> None:
    parts: Any = edge.server._gate._parts
    second = ApiServer([], parts, TestAuthority().server(tmp_path), Address("127.0.0.1", edge.server.port))
    with pytest.raises(ListenRefused):
        await second.start()


async def test_while_draining_a_bulk_stream_gets_its_answers_and_then_goes_elsewhere(edge: Edge) -> None:
    call: Any = (await edge.stub(edge.reader)).SubmitDocuments(timeout=SECONDS)
    await call.write(ingestion_pb2.SubmitDocumentsRequest(correlation=1))
    assert (await call.read()).correlation == 1
    draining = asyncio.create_task(edge.server.drain(SECONDS, SECONDS))
    await call.write(ingestion_pb2.SubmitDocumentsRequest(correlation=2))
    code, reason, _ = await refused(call.read())
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    await draining


async def test_while_draining_an_upload_is_told_to_go_on_elsewhere(edge: Edge) -> None:
    call: Any = (await edge.stub(edge.reader)).UploadDocument(timeout=SECONDS)
    await call.write(ingestion_pb2.UploadDocumentRequest(chunk=b"1"))
    await edge.servicer.uploading.wait()
    draining = asyncio.create_task(edge.server.drain(SECONDS, SECONDS))
    await call.write(ingestion_pb2.UploadDocumentRequest(chunk=b"2"))
    assert (await refused(call))[:2] == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    await draining


async def test_while_draining_a_call_under_way_finishes_and_a_new_one_is_refused(edge: Edge) -> None:
    stub = await edge.stub(edge.reader)
    slow = stub.ListDocuments(ingestion_pb2.ListDocumentsRequest(parent="tenants/chu"), timeout=SECONDS)
    await edge.servicer.listing.wait()
    draining = asyncio.create_task(edge.server.drain(SECONDS, 0))
    call = stub.GetDocument(ingestion_pb2.GetDocumentRequest(name=OURS), timeout=SECONDS)
    assert (await refused(call))[:2] == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    edge.servicer.go_on.set()
    await slow
    await draining


async def test_a_watcher_that_waits_is_ended_with_a_word_and_its_handler_cleans_up(edge: Edge) -> None:
    call: Any = (await edge.stub(edge.reader)).WatchDocument(ingestion_pb2.WatchDocumentRequest(name=OURS), timeout=SECONDS)
    assert (await call.read()).document.name == OURS
    await edge.servicer.waiting.wait()
    await edge.server.drain(SECONDS, 0.05)
    code, reason, _ = await refused(call.read())
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert edge.servicer.left.is_set()


async def test_a_watcher_who_leaves_ends_its_handler_at_once(edge: Edge) -> None:
    call: Any = (await edge.stub(edge.reader)).WatchDocument(ingestion_pb2.WatchDocumentRequest(name=OURS), timeout=SECONDS)
    await call.read()
    await edge.servicer.waiting.wait()
    call.cancel()
    async with asyncio.timeout(SECONDS):
        await edge.servicer.left.wait()


async def test_calls_are_counted_by_method_and_code(edge: Edge) -> None:
    method = "/relais.api.ingestion.v1.IngestionService/GetDocument"
    request = ingestion_pb2.GetDocumentRequest(name=OURS)
    await (await edge.stub(edge.reader)).GetDocument(request, timeout=SECONDS)
    await refused((await edge.stub(edge.foreign)).GetDocument(request, timeout=SECONDS))
    count = edge.metrics.registry.get_sample_value
    assert count("relais_rpc_server_calls_total", {"method": method, "code": "OK"}) == 1
    assert count("relais_rpc_server_calls_total", {"method": method, "code": "PERMISSION_DENIED"}) == 1
    assert count("relais_access_denied_total", {"reason": "RESOURCE_FOREIGN"}) == 1
    assert count("relais_rpc_server_call_duration_seconds_count", {"method": method}) == 1


async def asked(health: Health, name: str) -> int:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{health.port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)).status)


async def test_ready_is_when_every_probe_says_so_and_alive_does_not_depend_on_it() -> None:
    clock, metrics = ManualClock(), Metrics()
    health = Health(Address("127.0.0.1", 0), clock, metrics)
    answers: dict[str, Any] = {"database": True, "bus": OSError()}

    def probe(name: str) -> Any:
        async def ask() -> bool:
            if isinstance(answers[name], Exception):
                raise answers[name]
            return bool(answers[name])

        return ask

    for name in answers:
        health.add(name, probe(name))
    await health.start()
    running = asyncio.create_task(health.run())
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    try:
        await clock.advance(1)
        assert await health.silent_probes() == ["bus"]
        assert [await asked(health, name) for name in ("", READINESS, LIVENESS)] == [not_serving, not_serving, serving]
        answers["bus"] = True
        await clock.advance(1)
        assert [await asked(health, name) for name in ("", READINESS, LIVENESS)] == [serving, serving, serving]
        assert metrics.registry.get_sample_value("relais_ready") == 1
        answers["database"] = False
        await clock.advance(5)
        assert await asked(health, "") == not_serving
        answers["database"] = True
        await health.drain()
        await clock.advance(5)
        assert [await asked(health, name) for name in ("", LIVENESS)] == [not_serving, serving]
    finally:
        running.cancel()
        await health.stop()


async def test_a_probe_that_hangs_says_no() -> None:
    health = Health(Address("127.0.0.1", 0), SystemClock(), Metrics())

    async def hang() -> bool:
        await asyncio.Event().wait()
        return True

    health.add("database", hang)
    assert await health.silent_probes() == ["database"]
