"""The endpoints file (TOML): whom this deployment may call, and how. Paths are relative to the file.

[endpoints.lab]
deployment = "test"              # which world the partner lives in; must be this deployment's own (SAFETY 5)
url = "https://lab.example/in"   # HTTPS, no query; every document is posted here
keys_file = "lab.jwks"           # JWK Set: one key signs (use "sig"), one seals the recipient (use "enc")
ca_file = "lab-ca.pem"           # optional: the only authority trusted for this partner; else the system's
client_certificate_file = "us.pem"        # optional, with client_key_file: what we show the partner
client_key_file = "us.key"
concurrency = 8                  # calls at once over all replicas
rate_per_second = 200            # optional: calls begun per second
connect_timeout_seconds = 5.0
deadline_seconds = 10.0          # a call without an answer after this is of unknown outcome
size_bytes_maximum = 104857600   # a larger document is refused without a call
retry = { delay_seconds_first = 2.0, delay_seconds_maximum = 900.0, attempts_maximum = 400, age_seconds_maximum = 259200.0 }
breaker = { failures_maximum = 10, open_seconds_first = 1.0, open_seconds_maximum = 30.0 }
"""

import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import msgspec

from relais.chassis.refusal import StartRefused
from relais.contracts.deployment import Deployment
from relais.delivery.adapters.https.connector import HttpsSettings
from relais.delivery.adapters.https.keys import KeysUnusable, PartnerKeys, read_keys
from relais.delivery.dispatcher.settings import BreakerSettings, EndpointSettings
from relais.delivery.domain.retrying import RetryPolicy

ENDPOINTS_MAXIMUM: Final = 1000
CONCURRENCY_MAXIMUM: Final = 64
DEADLINE_SECONDS_MAXIMUM: Final = 120.0
CONNECTOR: Final = "https"

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class EndpointsRefused(StartRefused):
    """The file cannot be used; the message names the endpoint and what is wrong with it, and quotes no secret."""


@dataclass(frozen=True, slots=True)
class HttpsEndpoint:
    """One endpoint, read and checked."""

    settings: EndpointSettings
    https: HttpsSettings
    keys: PartnerKeys


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    deployment: Deployment
    url: str
    keys_file: str
    connector: str = CONNECTOR
    ca_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    concurrency: int = 8
    rate_per_second: float | None = None
    connect_timeout_seconds: float = 5.0
    deadline_seconds: float = 10.0
    size_bytes_maximum: int = 100 * 1024 * 1024
    retry: RetryPolicy = msgspec.field(default_factory=RetryPolicy)
    breaker: BreakerSettings = msgspec.field(default_factory=BreakerSettings)


def read_endpoints(file: Path, deployment: Deployment) -> dict[str, HttpsEndpoint]:
    """Read the file and every file it names. Raises `EndpointsRefused`."""
    try:
        with file.open("rb") as opened:
            content = tomllib.load(opened)
    except (OSError, tomllib.TOMLDecodeError):
        raise EndpointsRefused(f"{file.name} is not a readable TOML file") from None
    tables = content.pop("endpoints", {})
    if content or not isinstance(tables, dict) or len(tables) > ENDPOINTS_MAXIMUM:
        raise EndpointsRefused(f"{file.name} holds tables [endpoints.<id>] and nothing else, at most {ENDPOINTS_MAXIMUM}")
    return {name: _Reader(file.resolve().parent, name).read(table, deployment) for name, table in tables.items()}


class _Reader:
    """Reads one table."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    def read(self, raw: Mapping[str, Any], deployment: Deployment) -> HttpsEndpoint:
        if not _ID.fullmatch(self._name):
            raise self._refusal("its id is not lower-case letters, digits and hyphens, at most 63")
        try:
            table = msgspec.convert(raw, _Table)
        except msgspec.ValidationError as error:
            raise self._refusal(str(error)) from None
        for part, known in (("retry", RetryPolicy), ("breaker", BreakerSettings)):
            unknown = set(raw.get(part, {})) - {field.name for field in fields(known)}
            if unknown:
                raise self._refusal(f"{part} has no {sorted(unknown)[0]!r}")
        self._check(table, deployment)
        https = HttpsSettings(
            url=table.url,
            ca_file=self._file(table.ca_file),
            client_certificate_file=self._file(table.client_certificate_file),
            client_key_file=self._file(table.client_key_file),
            connect_timeout_seconds=table.connect_timeout_seconds,
            source=f"urn:relais:{deployment.value}",
        )
        self._check_tls(https)
        return HttpsEndpoint(self._settings(table), https, self._keys(table))

    def _check(self, table: _Table, deployment: Deployment) -> None:
        if table.deployment is not deployment:
            raise self._refusal(f"it belongs to {table.deployment.value}, this deployment is {deployment.value}")
        if table.connector != CONNECTOR:
            raise self._refusal(f"this version has no connector but {CONNECTOR}")
        if not table.url.startswith("https://") or not table.url.isascii() or any(mark in table.url for mark in ' ?#@\r\n"'):
            raise self._refusal("url is not https://host[:port]/path without a query")
        if not 1 <= table.concurrency <= CONCURRENCY_MAXIMUM:
            raise self._refusal(f"concurrency is not from 1 to {CONCURRENCY_MAXIMUM}")
        if not 0 < table.connect_timeout_seconds <= table.deadline_seconds <= DEADLINE_SECONDS_MAXIMUM:
            raise self._refusal(f"0 < connect_timeout_seconds <= deadline_seconds <= {DEADLINE_SECONDS_MAXIMUM:g} does not hold")
        if table.rate_per_second is not None and table.rate_per_second <= 0:
            raise self._refusal("rate_per_second is not above 0")
        if bool(table.client_certificate_file) != bool(table.client_key_file):
            raise self._refusal("client_certificate_file and client_key_file go together")

    def _check_tls(self, https: HttpsSettings) -> None:
        try:
            https.tls()
        except (OSError, ssl.SSLError):
            raise self._refusal("its certificates cannot be read, or do not fit together") from None

    def _settings(self, table: _Table) -> EndpointSettings:
        return EndpointSettings(
            id=self._name,
            connector=table.connector,
            concurrency=table.concurrency,
            deadline_seconds=table.deadline_seconds,
            size_bytes_maximum=table.size_bytes_maximum,
            rate_per_second=table.rate_per_second,
            retry=table.retry,
            breaker=table.breaker,
        )

    def _keys(self, table: _Table) -> PartnerKeys:
        try:
            return read_keys(self._folder / table.keys_file)
        except KeysUnusable as error:
            raise self._refusal(str(error)) from None

    def _file(self, name: str) -> Path | None:
        return self._folder / name if name else None

    def _refusal(self, what: str) -> EndpointsRefused:
        return EndpointsRefused(f"endpoint {self._name!r}: {what}")
