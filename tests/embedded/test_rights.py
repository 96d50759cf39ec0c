"""Attacks the rights of a service that was taken over: on the bus, in the databases, and through the server's log."""

import base64
import datetime
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import nats
import nkeys
import pytest

from relais.contracts.subjects import LOGS, stream_of
from relais.embedded.broker import broker_configuration
from relais.embedded.database import ROLES, prepare_databases, with_login
from relais.embedded.keys import Keys
from relais.embedded.parts import postgres_server
from relais.embedded.state import StateFolder
from relais.embedded.topology import DATABASE, KEYS_DATABASE, SERVICES
from relais.processes.leash import Leash
from relais.processes.nats import NatsServer
from relais.processes.postgres import PostgresServer
from relais.processes.programs import nats_server_program

CANARY = "CANARY-DUPONT-1850699351061"


@pytest.fixture
def state(home: Path) -> StateFolder:
    state = StateFolder(home)
    state.create()
    return state


@pytest.fixture
def broker(state: StateFolder) -> Iterator[NatsServer]:
    configuration = broker_configuration(state.nats / "jetstream", Keys(state.keys), monitor_port=-1)
    with Leash() as leash:
        server = NatsServer(nats_server_program(), state.nats, configuration, state.log("nats-server"), leash=leash)
        server.start()
        yield server
        server.stop()


class Caller:
    """A client that asks the server to answer every line, so that a refusal is known at once and surely."""

    def __init__(self, server: NatsServer, seed: Path | None) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=10)
        self._lines = self._socket.makefile("rb")
        greeting = json.loads(self._lines.readline().removeprefix(b"INFO "))
        credentials = {}
        if seed is not None:
            pair = nkeys.from_seed(bytearray(seed.read_bytes()))
            signature = base64.urlsafe_b64encode(pair.sign(greeting["nonce"].encode())).rstrip(b"=").decode()
            credentials = {"nkey": bytes(pair.public_key).decode(), "sig": signature}
        self.welcome = self._ask({"verbose": True, "pedantic": False, "headers": True, **credentials})

    def publish(self, subject: str) -> str:
        """What the server says to a message on this subject."""
        self._socket.sendall(f"PUB {subject} 0\r\n\r\n".encode())
        return self._lines.readline().decode().strip()

    def subscribe(self, subject: str) -> str:
        """What the server says to somebody who wants to hear this subject."""
        self._socket.sendall(f"SUB {subject} 1\r\n".encode())
        return self._lines.readline().decode().strip()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, options: dict[str, object]) -> str:
        self._socket.sendall(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        return self._lines.readline().decode().strip()


@pytest.fixture
def callers(broker: NatsServer, state: StateFolder) -> Iterator[dict[str, Caller]]:
    callers = {service.name: Caller(broker, Keys(state.keys).nkey_seed(service.name)) for service in SERVICES}
    yield callers
    for caller in callers.values():
        caller.close()


def test_a_service_speaks_only_in_its_own_name(callers: dict[str, Caller]) -> None:
    for service in SERVICES:
        caller = callers[service.name]
        assert caller.welcome == "+OK"
        for log in LOGS:
            verdict = "+OK" if log in service.writes else "-ERR 'Permissions Violation for Publish to"
            stream = stream_of(log)
            for subject in (
                f"relais.{log}.07.some.fact.v1",
                f"relais.bell.{log}",
                f"$JS.API.STREAM.UPDATE.{stream}",
                f"$JS.API.STREAM.PURGE.{stream}",
            ):
                assert caller.publish(subject).startswith(verdict), f"{service.name} on {subject}"


def test_a_service_follows_only_the_logs_it_needs(callers: dict[str, Caller]) -> None:
    for service in SERVICES:
        for log in LOGS:
            verdict = "+OK" if log in service.reads else "-ERR 'Permissions Violation for Publish to"
            for subject in (f"$JS.API.CONSUMER.CREATE.{stream_of(log)}.one", f"$JS.API.STREAM.MSG.GET.{stream_of(log)}"):
                assert callers[service.name].publish(subject).startswith(verdict), f"{service.name} on {subject}"
        refused = callers[service.name].subscribe("relais.ingestion.>")
        assert refused.startswith("-ERR 'Permissions Violation for Subscription"), (
            "facts come from the stream, not over the shoulder of another"
        )


def test_nobody_gets_in_without_a_known_key(broker: NatsServer, tmp_path: Path) -> None:
    for seed in (None, Keys(tmp_path).nkey_seed("identity")):
        caller = Caller(broker, seed)
        assert caller.welcome == "-ERR 'Authorization Violation'"
        caller.close()


async def test_a_stream_is_made_by_its_writer_and_read_by_those_who_follow_it(broker: NatsServer, state: StateFolder) -> None:
    keys = Keys(state.keys)
    writer = await nats.connect(broker.url, nkeys_seed=str(keys.nkey_seed("ingestion")))
    reader = await nats.connect(broker.url, nkeys_seed=str(keys.nkey_seed("identity")))
    await writer.jetstream().add_stream(name=stream_of("ingestion"), subjects=["relais.ingestion.>"])
    await writer.jetstream().publish("relais.ingestion.03.document.v1", b"fact")
    subscription = await reader.jetstream().pull_subscribe("relais.ingestion.03.>", stream=stream_of("ingestion"))
    (message,) = await subscription.fetch(1, timeout=5)
    assert message.data == b"fact"
    await reader.close()
    await writer.close()


@pytest.fixture
async def database(state: StateFolder) -> AsyncIterator[PostgresServer]:
    keys = Keys(state.keys)
    with Leash() as leash:
        server = postgres_server(state, keys, leash)
        server.initialise()
        server.start()
        try:
            for _ in range(2):  # a second start finds everything there.
                await prepare_databases(server.dsn(), {role: keys.database_password(role) for role in ROLES})
            yield server
        finally:
            server.stop()


async def test_a_role_needs_its_own_password_and_can_make_nothing(database: PostgresServer, state: StateFolder) -> None:
    keys = Keys(state.keys)
    routing, identity = "relais_routing", "relais_identity"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(with_login(database.dsn(), routing, keys.database_password(identity), DATABASE))
    for name in (DATABASE, KEYS_DATABASE):
        connection = await asyncpg.connect(with_login(database.dsn(), routing, keys.database_password(routing), name))
        for statement in (
            "CREATE TABLE mine ()",
            "CREATE SCHEMA mine",
            "CREATE ROLE another",
            "SET ROLE relais_owner",
            "CREATE TEMP TABLE mine ()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()


async def test_the_log_of_the_server_never_holds_what_a_statement_held(database: PostgresServer, state: StateFolder) -> None:
    owner = with_login(database.dsn(), "relais_owner", Keys(state.keys).database_password("relais_owner"), DATABASE)
    connection = await asyncpg.connect(owner)
    await connection.execute("CREATE TABLE people (name text PRIMARY KEY, born date CHECK (born < '2100-01-01'))")
    await connection.execute("INSERT INTO people VALUES ($1, $2)", CANARY, datetime.date(1985, 6, 1))
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO people VALUES ($1, $2)", CANARY, None)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(f"INSERT INTO people VALUES ('{CANARY}', NULL)")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await connection.execute(f"INSERT people '{CANARY}'")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("INSERT INTO people VALUES ($1, $2)", CANARY + "2", datetime.date(2101, 1, 1))
    await connection.close()
    log = state.log("postgres").read_text()
    assert "duplicate key value" in log, "the server logs that something went wrong"
    assert CANARY not in log
    assert Keys(state.keys).database_password("relais_owner") not in log
