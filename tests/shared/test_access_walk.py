"""Attacks the walk itself: it must find the holes of a server that has no gate."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from grpc_reflection.v1alpha import reflection

from relais.api.ingestion.v1 import document_pb2, ingestion_pb2, ingestion_pb2_grpc
from relais.chassis.api.tls import server_credentials
from relais.testing.access_walk import AccessHole, Walkers, walk_access
from relais.testing.certificates import TestAuthority


class Open(ingestion_pb2_grpc.IngestionServiceServicer):
    """Answers everybody."""

    async def GetDocument(self, request: Any, context: Any) -> document_pb2.Document:
        return document_pb2.Document(name=request.name)


@pytest.fixture
async def walkers(tmp_path: Path) -> AsyncIterator[Walkers]:
    authority = TestAuthority()
    server = grpc.aio.server()
    ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(Open(), server)  # type: ignore[abstract]  # the rest is left open on purpose
    name = ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name
    reflection.enable_server_reflection((name, reflection.SERVICE_NAME), server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(authority.server(tmp_path), require_certificate=True))
    await server.start()
    one, other = authority.client("anybody"), authority.client("somebody")
    yield Walkers(authority=authority, port=port, token_port=None, tenant="chu", anyone=one, powerless=one, foreign=one, stranger=other)
    await server.stop(0)


async def test_an_open_method_is_found_by_name(walkers: Walkers) -> None:
    with pytest.raises(AccessHole) as caught:
        await walk_access(walkers)
    said = str(caught.value)
    assert "IngestionService/GetDocument answered a stranger with OK" in said
    assert "IngestionService/GetDocument answered another tenant about tenants/chu with OK" in said
    # A method that fails for another reason than access is not taken for one that refuses.
    assert "IngestionService/WatchDocument answered a stranger with UNIMPLEMENTED" in said
    assert "answered nobody" not in said
