"""Where the services are and who calls: everything a client must be told."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from relais.client.errors import SettingsError

SERVICES = ("ingestion", "identity", "routing", "delivery")
MESSAGE_BYTES_MAXIMUM = 8 * 1024 * 1024
TOKEN_BYTES_MAXIMUM = 16 * 1024
KEEPALIVE_MILLISECONDS = 60_000
RECONNECT_MILLISECONDS_MAXIMUM = 5_000


@dataclass(frozen=True, kw_only=True)
class CertificateCredential:
    """Mutual TLS: a PEM certificate (chain) and its private key."""

    certificate_file: Path
    key_file: Path


@dataclass(frozen=True, kw_only=True)
class TokenCredential:
    """A signed JWT, read from its file at every call, so that whoever renews it need not tell us."""

    token_file: Path


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """`addresses` holds `host:port` per service, several for several replicas; `authority_file` is the PEM of who signs the servers'
    certificates (None: the system's). `tenant` is what short names are completed with.
    """

    addresses: Mapping[str, tuple[str, ...]]
    tenant: str
    authority_file: Path | None = None
    credential: CertificateCredential | TokenCredential | None = None
    user_agent: str = "relais-client"
    language: str = field(default="fr")


def open_channel(settings: ClientSettings, service: str) -> grpc.aio.Channel:
    """A TLS channel to one service; connects when it is first used. Raises `SettingsError`."""
    addresses = settings.addresses.get(service, ())
    if not addresses:
        raise SettingsError(f"no address is given for the service {service!r}")
    return grpc.aio.secure_channel(_target(addresses), _credentials(settings), options=_options(addresses, settings.user_agent))


def _target(addresses: tuple[str, ...]) -> str:
    """One name that gRPC spreads calls over: a DNS name (all its addresses), or a list of IP addresses."""
    if len(addresses) == 1:
        return f"dns:///{addresses[0]}"
    versions = {_ip_version(address) for address in addresses}
    if len(versions) != 1 or versions == {None}:
        raise SettingsError("several addresses of one service must all be IPv4 or all IPv6; give one DNS name instead")
    return f"ipv{versions.pop()}:{','.join(addresses)}"


def _ip_version(address: str) -> int | None:
    try:
        return ipaddress.ip_address(_host(address)).version
    except ValueError:
        return None


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _options(addresses: tuple[str, ...], user_agent: str) -> list[tuple[str, str | int]]:
    options: list[tuple[str, str | int]] = [
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAXIMUM),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAXIMUM),
        ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MILLISECONDS_MAXIMUM),
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.primary_user_agent", user_agent),
        # The client decides what may be repeated; gRPC must not do so behind its back.
        ("grpc.enable_retries", 0),
    ]
    if len(addresses) > 1:
        # A list of addresses is no name that a certificate could hold; every replica shows the same certificate.
        options.append(("grpc.default_authority", _host(addresses[0])))
    return options


def _credentials(settings: ClientSettings) -> grpc.ChannelCredentials:
    authority = _read(settings.authority_file) if settings.authority_file else None
    credential = settings.credential
    if isinstance(credential, CertificateCredential):
        return grpc.ssl_channel_credentials(authority, _read(credential.key_file), _read(credential.certificate_file))
    channel = grpc.ssl_channel_credentials(authority)
    if credential is None:
        return channel
    _read(credential.token_file)  # A missing file is a matter of settings, not of the first call.
    return grpc.composite_channel_credentials(channel, grpc.metadata_call_credentials(_TokenFromFile(credential.token_file), "token"))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from None


class _TokenFromFile(grpc.AuthMetadataPlugin):
    """Puts the file's token on each call."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, _context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        try:
            with self._file.open("rb") as opened:
                token = opened.read(TOKEN_BYTES_MAXIMUM).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            callback((), error)
            return
        callback((("authorization", f"Bearer {token}"),), None)
