"""Runs the platform of the tests in a thread of its own, on a free port, with TLS; callers must show a certificate or the token."""

import asyncio
import datetime
import ipaddress
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.rpc import code_pb2

from relais.api.audit.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from relais.api.delivery.v1.delivery_admin_pb2_grpc import add_DeliveryAdminServiceServicer_to_server
from relais.api.identity.v1.identity_admin_pb2_grpc import add_IdentityAdminServiceServicer_to_server
from relais.api.identity.v1.registry_admin_pb2_grpc import add_RegistryAdminServiceServicer_to_server
from relais.api.ingestion.v1.ingestion_pb2_grpc import add_IngestionServiceServicer_to_server
from relais.api.routing.v1.routing_admin_pb2_grpc import add_RoutingAdminServiceServicer_to_server
from relais.client.settings import SERVICES, CertificateCredential, ClientSettings, TokenCredential
from tests.client.platform_admin import Identity, Registry, Routing
from tests.client.platform_delivery import Audit, Delivery
from tests.client.platform_ingestion import Ingestion
from tests.client.platform_state import State, refuse, status_of

TOKEN = "good-token"
STOP_SECONDS = 5.0


@dataclass
class Platform:
    """A running platform and everything that a test may look at or plan."""

    folder: Path
    state: State
    registry: Registry
    identity: Identity
    routing: Routing
    delivery: Delivery
    address: str = ""
    address_for_tokens: str = ""

    def settings(self, credential: str = "certificate", addresses: tuple[str, ...] = ()) -> ClientSettings:
        """Settings of a client that may do everything, or of one that shows a token, or nothing."""
        shown: CertificateCredential | TokenCredential | None = None
        if credential == "certificate":
            shown = CertificateCredential(certificate_file=self.folder / "client.pem", key_file=self.folder / "client.key")
        if credential == "token":
            shown = TokenCredential(token_file=self.folder / "token")
        default = self.address if credential == "certificate" else self.address_for_tokens
        return ClientSettings(
            addresses=dict.fromkeys(SERVICES, addresses or (default,)),
            tenant="north",
            authority_file=self.folder / "authority.pem",
            credential=shown,
        )


class _Door(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # Generic in the stubs only.
    """Nobody without a certificate or the token; no unary call without a deadline."""

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(details)
        metadata = dict(details.invocation_metadata or ())

        def closed(reason: str, code: int) -> Any:
            async def answer(_request: Any, context: Any) -> None:
                await refuse(context, status_of(code, reason))

            async def answer_stream(_request: Any, context: Any) -> Any:
                await refuse(context, status_of(code, reason))
                yield None

            if handler.response_streaming:
                kind = grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
                return kind(answer_stream)
            kind = grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
            return kind(answer)

        if metadata.get("authorization") not in (None, f"Bearer {TOKEN}"):
            return closed("TOKEN_INVALID", code_pb2.UNAUTHENTICATED)
        if handler.unary_unary is None:
            return handler

        async def with_deadline(request: Any, context: Any) -> Any:
            if not context.auth_context().get("x509_common_name") and "authorization" not in metadata:
                await refuse(context, status_of(code_pb2.UNAUTHENTICATED, "CREDENTIAL_MISSING"))
            if context.time_remaining() is None:
                await refuse(context, status_of(code_pb2.INVALID_ARGUMENT, "DEADLINE_MISSING"))
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(with_deadline, handler.request_deserializer, handler.response_serializer)


@contextmanager
def run_platform(folder: Path) -> Iterator[Platform]:
    """A platform with its certificates and token in `folder`."""
    make_certificates(folder)
    (folder / "token").write_text(TOKEN + "\n")
    state = State()
    platform = Platform(folder, state, Registry(state), Identity(state), Routing(state), Delivery(state))
    started, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        server = grpc.aio.server(interceptors=[_Door()])
        add_IngestionServiceServicer_to_server(Ingestion(state), server)
        add_RegistryAdminServiceServicer_to_server(platform.registry, server)
        add_IdentityAdminServiceServicer_to_server(platform.identity, server)
        add_RoutingAdminServiceServicer_to_server(platform.routing, server)
        add_DeliveryAdminServiceServicer_to_server(platform.delivery, server)
        add_AuditServiceServicer_to_server(Audit(state), server)
        pair = [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())]
        authority = (folder / "authority.pem").read_bytes()
        # grpc either requires a client's certificate or does not look at it, so callers with a token have a port of their own.
        for_certificates = grpc.ssl_server_credentials(pair, authority, require_client_auth=True)
        platform.address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', for_certificates)}"
        platform.address_for_tokens = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials(pair))}"
        await server.start()
        started.set()
        await stop.wait()
        await server.stop(0)

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, name="platform", daemon=True)
    thread.start()
    assert started.wait(STOP_SECONDS)
    try:
        yield platform
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(STOP_SECONDS)


def make_certificates(folder: Path) -> None:
    """An authority, a server on 127.0.0.1 and a client, EC P-256, valid for a day."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = certificate("authority", authority_key, "authority", authority_key, is_authority=True)
    save(folder / "authority.pem", authority)
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        save(folder / f"{name}.pem", certificate(name, key, "authority", authority_key))
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.key").write_bytes(private)


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, is_authority: bool = False
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def save(file: Path, made: x509.Certificate) -> None:
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
