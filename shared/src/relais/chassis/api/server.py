"""The gRPC server of every service: TLS, limits, keep-alive, reflection, the gate, a graceful end.

grpc can require a client certificate on a port or not ask for one; it cannot leave the choice to the caller. So callers with
a certificate come to RELAIS_GRPC_LISTEN, and callers that have only a token to RELAIS_GRPC_TOKEN_LISTEN, where one is set;
both ports are one server behind one gate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_reflection.v1alpha import reflection

from relais.chassis.api.gate import Gate, Parts
from relais.chassis.api.methods import rules_of
from relais.chassis.api.tls import server_credentials
from relais.chassis.config import Address, TlsConfig
from relais.chassis.refusal import StartRefused

# A document has at most 4 MiB and the answer to one byte more must be ours, so the transport takes twice that.
MESSAGE_BYTES_MAXIMUM = 8 * 1024 * 1024
CONCURRENT_STREAMS_MAXIMUM = 1000
METADATA_BYTES_MAXIMUM = 32 * 1024
KEEPALIVE_MILLISECONDS = 60_000
KEEPALIVE_TIMEOUT_MILLISECONDS = 20_000
CLIENT_PING_MILLISECONDS_MINIMUM = 30_000
# Connections end now and then, so that callers find replicas that were added; what runs on them may finish.
CONNECTION_AGE_MILLISECONDS_MAXIMUM = 10 * 60_000
CONNECTION_AGE_GRACE_MILLISECONDS = 60 * 60_000
DRAIN_SECONDS = 20.0
STREAMS_DRAIN_SECONDS = 3.0
STOP_SECONDS = 0.5

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAXIMUM),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAXIMUM),
    ("grpc.max_metadata_size", METADATA_BYTES_MAXIMUM),
    ("grpc.max_concurrent_streams", CONCURRENT_STREAMS_MAXIMUM),
    ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLISECONDS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", CLIENT_PING_MILLISECONDS_MINIMUM),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MILLISECONDS_MAXIMUM),
    ("grpc.max_connection_age_grace_ms", CONNECTION_AGE_GRACE_MILLISECONDS),
    # Two processes on one port would share its calls in silence; the second must fail to start.
    ("grpc.so_reuseport", 0),
)


class ListenRefused(StartRefused):
    """An address cannot be listened on; `address` is it."""

    def __init__(self, address: Address) -> None:
        super().__init__(f"cannot listen on {address}")
        self.address = address


@dataclass(frozen=True, slots=True)
class Offer:
    """One gRPC service: its descriptor, its servicer, and the generated function that adds one to a server."""

    descriptor: ServiceDescriptor
    servicer: Any
    add: Callable[[Any, grpc.aio.Server], None]


class ApiServer:
    """Serves the offers. Ports are known after `start`."""

    def __init__(self, offers: Sequence[Offer], parts: Parts, tls: TlsConfig, listen: Address, token_listen: Address | None = None) -> None:
        self._gate = Gate(rules_of(offer.descriptor for offer in offers), parts)
        self._server = grpc.aio.server(interceptors=(self._gate,), options=OPTIONS)
        self._tls = tls
        self._listen = listen
        self._token_listen = token_listen
        for offer in offers:
            offer.add(offer.servicer, self._server)
        names = [offer.descriptor.full_name for offer in offers]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self.port = 0
        self.token_port = 0

    async def start(self) -> None:
        """Listen. Raises `ListenRefused`, or `relais.chassis.api.tls.TlsRefused`."""
        self.port = self._add_port(self._listen, require_certificate=True)
        if self._token_listen is not None:
            self.token_port = self._add_port(self._token_listen, require_certificate=False)
        await self._server.start()

    async def drain(self, seconds: float = DRAIN_SECONDS, streams_seconds: float = STREAMS_DRAIN_SECONDS) -> None:
        """End streams, then let calls finish for `seconds`, then stop listening.

        The gate refuses new calls before grpc stops, because grpc forgets a call that arrives at that very moment: its caller hears
        nothing until the grace is over, which is therefore short.
        """
        await self._gate.drain(seconds, min(streams_seconds, seconds))
        await self._server.stop(STOP_SECONDS)

    def _add_port(self, address: Address, *, require_certificate: bool) -> int:
        credentials = server_credentials(self._tls, require_certificate=require_certificate)
        try:
            return self._server.add_secure_port(str(address), credentials)
        except RuntimeError:
            raise ListenRefused(address) from None
