"""A real server behind the real gate, for the tests of the chassis: a small ingestion service of the tests' own, and the audit service."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
from joserfc import jwt
from joserfc.jwk import ECKey

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.ingestion.v1 import document_pb2, ingestion_pb2, ingestion_pb2_grpc
from relais.chassis.access.directory import Directory
from relais.chassis.access.principal import Principal, caller
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import Access, not_found, require_site, tenant_of
from relais.chassis.api.audit import AuditServicer
from relais.chassis.api.errors import ApiError
from relais.chassis.api.gate import Parts
from relais.chassis.api.methods import permission_words
from relais.chassis.api.pages import PageTokens
from relais.chassis.api.server import ApiServer, Offer
from relais.chassis.api.tokens import TokenVerifier
from relais.chassis.api.translation import to_api_error
from relais.chassis.config import Address
from relais.chassis.metrics import Metrics
from relais.chassis.sealed_fields import SubmissionOpener
from relais.chassis.tracing import Tracing
from relais.clock import Clock, SystemClock
from relais.contracts.registry import CredentialRegistered, SenderRegistered, TenantRegistered
from relais.eventlog.memory import MemoryEventLog
from relais.testing.certificates import Identity, TestAuthority
from relais.vault.keys import MemoryKeyRing

ISSUER = "https://tokens.test"
BUG = "tenants/chu/documents/bug"
ABSENT = "tenants/chu/documents/absent"


class Servicer(ingestion_pb2_grpc.IngestionServiceServicer):
    """Answers as little as shows who called and what the gate let through."""

    def __init__(self) -> None:
        self.seen: list[Principal] = []
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()
        self.uploading = asyncio.Event()
        self.listing = asyncio.Event()
        self.go_on = asyncio.Event()

    async def GetDocument(self, request: Any, context: Any) -> document_pb2.Document:
        self.seen.append(caller())
        if request.name == BUG:
            raise ZeroDivisionError("Jeanne Martin, née Dupont")
        if request.name == ABSENT:
            raise not_found()
        require_site("north")
        return document_pb2.Document(name=request.name, sender=caller().sender)

    async def SubmitDocument(self, request: Any, context: Any) -> document_pb2.Receipt:
        return document_pb2.Receipt(document=tenant_of(request.parent))

    async def UploadDocument(self, request_iterator: Any, context: Any) -> document_pb2.Receipt:
        size = 0
        async for request in request_iterator:
            if request.WhichOneof("frame") == "start":
                tenant_of(request.start.parent)
            size += len(request.chunk)
            self.uploading.set()
        return document_pb2.Receipt(tenant_sequence=size)

    async def SubmitDocuments(self, request_iterator: Any, context: Any) -> AsyncIterator[ingestion_pb2.SubmitDocumentsResponse]:
        async for request in request_iterator:
            try:
                tenant = tenant_of(request.request.parent)
            except ApiError as error:
                status = to_api_error(error, "SubmitDocuments", lambda _: None).status()
                yield ingestion_pb2.SubmitDocumentsResponse(correlation=request.correlation, status=status)
                continue
            yield ingestion_pb2.SubmitDocumentsResponse(correlation=request.correlation, receipt=document_pb2.Receipt(document=tenant))

    async def WatchDocument(self, request: Any, context: Any) -> AsyncIterator[ingestion_pb2.WatchDocumentResponse]:
        yield ingestion_pb2.WatchDocumentResponse(document=document_pb2.Document(name=request.name))
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()

    async def DeleteDocument(self, request: Any, context: Any) -> document_pb2.Receipt:
        raise ApiError(ErrorReason.ERROR_REASON_NOT_IMPLEMENTED)

    async def ListDocuments(self, request: Any, context: Any) -> ingestion_pb2.ListDocumentsResponse:
        self.listing.set()
        await self.go_on.wait()
        return ingestion_pb2.ListDocumentsResponse()

    async def ValidateDocument(self, request: Any, context: Any) -> ingestion_pb2.ValidateDocumentResponse:
        return ingestion_pb2.ValidateDocumentResponse(document=tenant_of(request.parent))

    async def GetUpload(self, request: Any, context: Any) -> ingestion_pb2.Upload:
        return ingestion_pb2.Upload(name=request.name)


@dataclass
class Edge:
    """One server, everything it is made of, and who may call it."""

    authority: TestAuthority
    directory: Directory
    log: MemoryEventLog
    keys: MemoryKeyRing
    recorder: AccessRecorder
    metrics: Metrics
    servicer: Servicer
    server: ApiServer
    token_key: ECKey
    sender: Identity
    reader: Identity
    powerless: Identity
    foreign: Identity
    stranger: Identity
    _channels: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)

    async def channel(self, identity: Identity | None, *, token_port: bool = False) -> grpc.aio.Channel:
        """A channel that is closed with the edge."""
        port = self.server.token_port if token_port else self.server.port
        return await self._channels.enter_async_context(self.authority.channel(port, identity))

    async def stub(self, identity: Identity | None, *, token_port: bool = False) -> Any:
        """The ingestion service as this caller sees it."""
        return ingestion_pb2_grpc.IngestionServiceStub(await self.channel(identity, token_port=token_port))

    def token(self, claims: dict[str, Any], key: ECKey | None = None) -> str:
        """A signed token."""
        signing = key or self.token_key
        return jwt.encode({"alg": "ES256", "kid": self.token_key.kid}, claims, signing)


@asynccontextmanager
async def running_edge(folder: Path, clock: Clock | None = None) -> AsyncIterator[Edge]:
    """Start a server with two ports, two tenants and a handful of callers."""
    clock = clock or SystemClock()
    authority = TestAuthority()
    names = ("sender", "reader", "powerless", "foreign", "stranger")
    identities = {name: authority.client(name) for name in names}
    directory = _directory(identities)
    token_key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)
    (folder / "tokens.json").write_text(json.dumps({"keys": [{**token_key.as_dict(private=False), "iss": ISSUER}]}))
    log = MemoryEventLog("ingestion", clock)
    keys = MemoryKeyRing()
    metrics, tracing = Metrics(), Tracing("ingestion", "ingestion-1", 0.0, None)
    recorder = AccessRecorder(log, clock)
    tokens = TokenVerifier.load(folder / "tokens.json", lambda: clock.now().timestamp())
    parts = Parts(access=Access(directory, tokens), recorder=recorder, metrics=metrics, tracing=tracing, translate=lambda _: None)
    servicer = Servicer()
    audit = AuditServicer("ingestion", {"ingestion": log}, recorder, SubmissionOpener(keys), PageTokens(b"a test's secret"), clock)
    descriptor = ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"]
    offers = [Offer(descriptor, servicer, ingestion_pb2_grpc.add_IngestionServiceServicer_to_server), audit.offer()]
    server = ApiServer(offers, parts, authority.server(folder), Address("127.0.0.1", 0), Address("127.0.0.1", 0))
    await server.start()
    writing = asyncio.create_task(recorder.run())
    edge = Edge(authority, directory, log, keys, recorder, metrics, servicer, server, token_key, *(identities[name] for name in names))
    try:
        yield edge
    finally:
        await edge._channels.aclose()
        await server.drain(0, 0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        tracing.close()


def _directory(identities: dict[str, Identity]) -> Directory:
    everything = tuple(sorted(permission_words()))
    granted = {
        "sender": ("chu", ("DOCUMENT_SUBMIT", "DOCUMENT_READ"), "his"),
        "reader": ("chu", everything, ""),
        "powerless": ("chu", (), ""),
        "foreign": ("clinic", everything, ""),
    }
    directory = Directory()
    for tenant in ("chu", "clinic"):
        directory.evolve(TenantRegistered(tenant=tenant))
    directory.evolve(SenderRegistered(tenant="chu", sender="his", sites=("south",)))
    for name, (tenant, permissions, sender) in granted.items():
        credential = identities[name].credential
        directory.evolve(CredentialRegistered(tenant=tenant, credential=credential, permissions=permissions, sender=sender))
    return directory
