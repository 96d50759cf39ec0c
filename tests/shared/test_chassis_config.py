"""Attacks the configuration: everything missing or wrong is named at once, no secret is repeated, nothing required has a default."""

from pathlib import Path

import pytest

from relais.chassis.config import Address, read_config, read_migration_config
from relais.chassis.environment import EnvironmentRefused

FILES = {
    "RELAIS_TLS_CERTIFICATE_FILE": "server.pem",
    "RELAIS_TLS_KEY_FILE": "server.key",
    "RELAIS_TLS_CLIENT_CA_FILE": "authority.pem",
    "RELAIS_JWT_KEYS_FILE": "keys.json",
    "RELAIS_OPERATORS_FILE": "operators.toml",
    "RELAIS_VAULT_MASTER_KEY_FILE": "vault.key",
}
TEXTS = {
    "RELAIS_SERVICE_REPLICA": "routing-1",
    "RELAIS_DEPLOYMENT": "test",
    "RELAIS_POSTGRES_DSN": "postgres://relais_routing:hunter2@db/relais",
    "RELAIS_KEYS_DSN": "postgres://relais_routing:hunter2@db/relais_keys",
    "RELAIS_NATS_URL": "tls://one:4222, tls://two:4222",
    "RELAIS_GRPC_LISTEN": "0.0.0.0:7443",
    "RELAIS_HEALTH_LISTEN": "[::]:7444",
    "RELAIS_METRICS_LISTEN": ":0",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for file in FILES.values():
        (tmp_path / file).write_text("")
    return {**TEXTS, **{name: str(tmp_path / file) for name, file in FILES.items()}}


def refusals(environment: dict[str, str], service: str = "routing") -> dict[str, str]:
    with pytest.raises(EnvironmentRefused) as caught:
        read_config(service, environment)
    assert "hunter2" not in str(caught.value)
    return {problem.variable: problem.what for problem in caught.value.problems}


def test_a_complete_environment_is_read_once_into_a_frozen_record(environment: dict[str, str]) -> None:
    config = read_config("routing", environment)
    assert config.grpc_listen == Address("0.0.0.0", 7443)
    assert config.health_listen == Address("::", 7444)
    assert config.metrics_listen == Address("", 0)
    assert config.nats.servers == ("tls://one:4222", "tls://two:4222")
    assert config.token_listen is None
    assert config.telemetry.trace_sample == 0.01
    assert "hunter2" not in repr(config)
    with pytest.raises(AttributeError):
        config.replica = "other"  # type: ignore[misc]


def test_an_empty_environment_names_every_variable_that_is_required() -> None:
    assert set(refusals({}, "delivery")) == {*TEXTS, *FILES, "RELAIS_ENDPOINTS_FILE"}


@pytest.mark.parametrize("name", [*TEXTS, *FILES])
def test_a_missing_variable_is_named_alone(environment: dict[str, str], name: str) -> None:
    del environment[name]
    assert refusals(environment) == {name: "is not set"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAIS_DEPLOYMENT", "staging"),
        ("RELAIS_GRPC_LISTEN", "7443"),
        ("RELAIS_GRPC_LISTEN", "host:99999"),
        ("RELAIS_GRPC_LISTEN", "host:x"),
        ("RELAIS_GRPC_TOKEN_LISTEN", "host"),
        ("RELAIS_SERVICE_REPLICA", "x" * 64),
        ("RELAIS_LOG_LEVEL", "loud"),
        ("RELAIS_TRACE_SAMPLE", "2"),
        ("RELAIS_TRACE_SAMPLE", "often"),
        ("RELAIS_TRACE_FILE", "absent-folder/file"),
        ("RELAIS_TLS_KEY_FILE", "absent"),
        ("RELAIS_NATS_NKEY_SEED_FILE", "absent"),
        ("RELAIS_NATS_CA_FILE", "absent"),
    ],
)
def test_an_invalid_variable_is_named_and_not_repeated(environment: dict[str, str], name: str, value: str) -> None:
    environment[name] = value
    assert list(refusals(environment)) == [name]


def test_production_has_a_key_for_the_bus_and_no_failpoints(environment: dict[str, str]) -> None:
    environment |= {"RELAIS_DEPLOYMENT": "production", "RELAIS_FAILPOINTS": "relay.after_publish=kill"}
    assert set(refusals(environment)) == {"RELAIS_NATS_NKEY_SEED_FILE", "RELAIS_FAILPOINTS"}


def test_only_delivery_asks_for_endpoints(environment: dict[str, str]) -> None:
    assert read_config("routing", environment).endpoints_file is None
    assert set(refusals(environment, "delivery")) == {"RELAIS_ENDPOINTS_FILE"}


def test_migrating_needs_the_owner_and_nothing_of_serving() -> None:
    owner = {"RELAIS_POSTGRES_OWNER_DSN": "postgres://owner@db/relais", "RELAIS_KEYS_OWNER_DSN": "postgres://owner@db/relais_keys"}
    assert read_migration_config("routing", owner).owner_dsn == owner["RELAIS_POSTGRES_OWNER_DSN"]
    with pytest.raises(EnvironmentRefused) as caught:
        read_migration_config("routing", {})
    assert {problem.variable for problem in caught.value.problems} == set(owner)
