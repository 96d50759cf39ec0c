"""The configuration of a process: environment variables, read once at the start into frozen records.

What is required has no default. Everything that is wrong is said at once, by the variable's name and with what to do about
it; the process then stops with exit code 78 (EX_CONFIG).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relais.chassis.environment import Environment, EnvironmentRefused
from relais.contracts.deployment import Deployment

LOG_LEVELS = ("debug", "info", "warning", "error")
TRACE_SAMPLE_DEFAULT = 0.01
REPLICA_CHARACTERS_MAXIMUM = 63
INS_SEVERITIES = ("error", "warning")

_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*)){1,40}")
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")

__all__ = ["Address", "Config", "EnvironmentRefused", "MigrationConfig", "read_config", "read_migration_config"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. An empty host means every interface, port 0 a free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsConfig:
    """How to reach the bus. Without a seed file there is no key, without an authority no TLS; production needs both."""

    url: str
    seed_file: Path | None
    authority_file: Path | None
    monitor_url: str | None

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of the servers, as given, separated by commas."""
        return tuple(server.strip() for server in self.url.split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """The server's certificate and key, and the authority that signed the callers' certificates; PEM files."""

    certificate_file: Path
    key_file: Path
    client_authority_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessConfig:
    """Who may call: the keys that sign tokens (JWKS), and the credentials that work before the registry holds any (TOML)."""

    jwt_keys_file: Path
    operators_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """Log level; the share of traces that is kept (0 to 1); where spans go: a file of JSON lines, an OTLP endpoint, or nowhere."""

    log_level: str
    trace_sample: float
    trace_file: Path | None
    trace_endpoint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a serving process was told. Secrets are files, never values; a DSN may hold a password and is never logged.

    `ins_severities` (OID, `error` or `warning`) is identity's: what a wrong INS under an OID means, where it is not the default.
    `patient_domains` is routing's: operators' domains whose mailboxes are patients', beside the national one.
    """

    service: str
    replica: str
    deployment: Deployment
    postgres_dsn: str
    keys_dsn: str
    nats: NatsConfig
    grpc_listen: Address
    token_listen: Address | None
    health_listen: Address
    metrics_listen: Address
    tls: TlsConfig
    access: AccessConfig
    vault_master_key_file: Path
    endpoints_file: Path | None
    telemetry: TelemetryConfig
    failpoints: str
    ins_severities: tuple[tuple[str, str], ...] = ()
    patient_domains: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Config(service={self.service!r}, replica={self.replica!r}, deployment={self.deployment.value!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationConfig:
    """What `migrate` was told: the owner's way into both databases, and the names of the role and service that it prepares for."""

    service: str
    owner_dsn: str
    keys_owner_dsn: str
    telemetry: TelemetryConfig

    def __repr__(self) -> str:
        return f"MigrationConfig(service={self.service!r})"


def read_config(service: str, environment: Mapping[str, str]) -> Config:
    """Read what `serve` needs.

    Raises:
        EnvironmentRefused: at least one variable is missing or invalid; it lists them all.
    """
    read = Environment(environment)
    deployment = Deployment(
        read.choice("RELAIS_DEPLOYMENT", (Deployment.TEST, Deployment.PRODUCTION), "Say whether this carries real patients.")
    )
    config = Config(
        service=service,
        replica=read.text("RELAIS_SERVICE_REPLICA", "Name this replica, for instance by the pod's name.", REPLICA_CHARACTERS_MAXIMUM),
        deployment=deployment,
        postgres_dsn=read.text("RELAIS_POSTGRES_DSN", "Give the DSN of the database `relais` for the service's own role."),
        keys_dsn=read.text("RELAIS_KEYS_DSN", "Give the DSN of the database `relais_keys` for the service's own role."),
        nats=_nats(read, deployment),
        grpc_listen=_address(read, "RELAIS_GRPC_LISTEN"),
        token_listen=_optional_address(read, "RELAIS_GRPC_TOKEN_LISTEN"),
        health_listen=_address(read, "RELAIS_HEALTH_LISTEN"),
        metrics_listen=_address(read, "RELAIS_METRICS_LISTEN"),
        tls=TlsConfig(
            certificate_file=read.file("RELAIS_TLS_CERTIFICATE_FILE", "Give the server's certificate chain, PEM."),
            key_file=read.file("RELAIS_TLS_KEY_FILE", "Give the key of the server's certificate, PEM."),
            client_authority_file=read.file("RELAIS_TLS_CLIENT_CA_FILE", "Give the authority that signs the callers' certificates, PEM."),
        ),
        access=AccessConfig(
            jwt_keys_file=read.file("RELAIS_JWT_KEYS_FILE", "Give the JWKS of the keys that sign tokens; an empty key set is allowed."),
            operators_file=read.file("RELAIS_OPERATORS_FILE", "Give the TOML of the first operators; an empty file is allowed."),
        ),
        vault_master_key_file=read.file("RELAIS_VAULT_MASTER_KEY_FILE", "Give the file with the vault's master key."),
        endpoints_file=read.file("RELAIS_ENDPOINTS_FILE", "Give the TOML of the endpoints.") if service == "delivery" else None,
        telemetry=_telemetry(read),
        failpoints=_failpoints(read, deployment),
        ins_severities=_ins_severities(read) if service == "identity" else (),
        patient_domains=_patient_domains(read) if service == "routing" else (),
    )
    read.refuse_if_wrong()
    return config


def read_migration_config(service: str, environment: Mapping[str, str]) -> MigrationConfig:
    """Read what `migrate` needs. Raises `EnvironmentRefused`."""
    read = Environment(environment)
    config = MigrationConfig(
        service=service,
        owner_dsn=read.text("RELAIS_POSTGRES_OWNER_DSN", "Give the DSN of the database `relais` for the role that owns the schemas."),
        keys_owner_dsn=read.text("RELAIS_KEYS_OWNER_DSN", "Give the DSN of the database `relais_keys` for the role that owns it."),
        telemetry=_telemetry(read),
    )
    read.refuse_if_wrong()
    return config


def _nats(read: Environment, deployment: Deployment) -> NatsConfig:
    seed_file = read.optional_file("RELAIS_NATS_NKEY_SEED_FILE")
    if deployment is Deployment.PRODUCTION and seed_file is None:
        read.complain("RELAIS_NATS_NKEY_SEED_FILE", "is not set", "In production every service has its own key for the bus.")
    return NatsConfig(
        url=read.text("RELAIS_NATS_URL", "Give the addresses of the NATS servers, separated by commas."),
        seed_file=seed_file,
        authority_file=read.optional_file("RELAIS_NATS_CA_FILE"),
        monitor_url=read.optional_text("RELAIS_NATS_MONITOR_URL"),
    )


def _telemetry(read: Environment) -> TelemetryConfig:
    return TelemetryConfig(
        log_level=read.choice("RELAIS_LOG_LEVEL", LOG_LEVELS, "Say from which level on log lines are written.", default="info"),
        trace_sample=read.share("RELAIS_TRACE_SAMPLE", TRACE_SAMPLE_DEFAULT),
        trace_file=read.optional_path("RELAIS_TRACE_FILE"),
        trace_endpoint=read.optional_text("RELAIS_TRACE_OTLP_ENDPOINT"),
    )


def _failpoints(read: Environment, deployment: Deployment) -> str:
    failpoints = read.optional_text("RELAIS_FAILPOINTS") or ""
    if failpoints and deployment is Deployment.PRODUCTION:
        read.complain("RELAIS_FAILPOINTS", "is set in production", "Unset it: failpoints kill the process and are for tests alone.")
    return failpoints


def _ins_severities(read: Environment) -> tuple[tuple[str, str], ...]:
    given = _words(read, "RELAIS_INS_SEVERITIES")
    pairs = [(oid.strip(), severity.strip()) for oid, _, severity in (pair.partition("=") for pair in given)]
    if any(_OID.fullmatch(oid) is None or severity not in INS_SEVERITIES for oid, severity in pairs):
        read.complain("RELAIS_INS_SEVERITIES", "is not OID=severity pairs", "For instance 1.2.250.1.213.1.4.10=error, or unset it.")
        return ()
    return tuple(pairs)


def _patient_domains(read: Environment) -> tuple[str, ...]:
    domains = tuple(domain.lower() for domain in _words(read, "RELAIS_PATIENT_DOMAINS"))
    if any(_DOMAIN.fullmatch(domain) is None for domain in domains):
        read.complain("RELAIS_PATIENT_DOMAINS", "is not domain names, separated by commas", "For instance patients.operator.mssante.fr.")
        return ()
    return domains


def _words(read: Environment, name: str) -> list[str]:
    return [word.strip() for word in (read.optional_text(name) or "").split(",") if word.strip()]


def _address(read: Environment, name: str) -> Address:
    text = read.text(name, "Give host:port to listen on.")
    address = _parse_address(text)
    if address is None and text:
        read.complain(name, "is not host:port", "For instance 0.0.0.0:7443, or [::]:7443.")
    return address or Address("", 0)


def _optional_address(read: Environment, name: str) -> Address | None:
    return _address(read, name) if read.optional_text(name) else None


def _parse_address(text: str) -> Address | None:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        return None
    return Address(host.removeprefix("[").removesuffix("]"), int(port))
