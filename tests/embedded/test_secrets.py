"""Attacks what the stack makes for itself: certificates that do not chain, keys that others may read, secrets that change by themselves."""

import datetime
import hashlib
import json
import socket
import ssl
import threading
import tomllib
from pathlib import Path

import nkeys
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from relais.chassis.config import read_migration_config
from relais.chassis.service import ServiceDefinition, check_config
from relais.embedded.certificates import LEAF_DAYS, RENEW_DAYS, Authority
from relais.embedded.configuration import read_configuration
from relais.embedded.documents import choose_defaults, write_documents
from relais.embedded.keys import TOKEN_AUDIENCE, TOKEN_ISSUER, Keys
from relais.embedded.services import Environments
from relais.embedded.state import StateFolder
from relais.embedded.topology import ENDPOINTS, SERVICES, Service, port_names
from relais.sandbox.configuration import SandboxConfiguration

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    state = StateFolder(tmp_path)
    state.create()
    return state


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """Connect for real; the SHA-256-ready DER of the client's certificate as the server saw it, b'' when the server refused."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen: list[bytes] = []

        def serve() -> None:
            connection, _ = listening.accept()
            try:
                with server.wrap_socket(connection, server_side=True) as secured:
                    seen.append(secured.getpeercert(binary_form=True) or b"")
                    secured.sendall(b"in")
            except ssl.SSLError:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listening.getsockname()) as connection,
                client.wrap_socket(connection, server_hostname="127.0.0.1") as secured,
            ):
                answered = secured.recv(2) == b"in"
        except (ssl.SSLError, ConnectionError):
            answered = False
        thread.join()
    return seen[0] if answered else b""


def server_context(authority: Authority) -> ssl.SSLContext:
    pair = authority.server("ingestion")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(authority.pair.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_client_of_this_authority_gets_in_and_is_known_by_its_fingerprint(state: StateFolder, tmp_path: Path) -> None:
    authority = Authority(state.certificates, NOW)
    sender = authority.client("demo-sender")
    client = ssl.create_default_context(cafile=str(authority.pair.certificate))
    client.load_cert_chain(sender.certificate, sender.key)
    seen = handshake(server_context(authority), client)
    assert sender.fingerprint() == hashlib.sha256(seen).hexdigest()

    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", NOW).client("demo-sender")
    client = ssl.create_default_context(cafile=str(authority.pair.certificate))
    client.load_cert_chain(stranger.certificate, stranger.key)
    assert handshake(server_context(authority), client) == b""


def test_a_server_certificate_is_no_client_certificate(state: StateFolder) -> None:
    authority = Authority(state.certificates, NOW)
    client = ssl.create_default_context(cafile=str(authority.pair.certificate))
    client.load_cert_chain(authority.server("routing").certificate, authority.server("routing").key)
    assert handshake(server_context(authority), client) == b""


def test_a_certificate_stays_until_it_is_nearly_over(state: StateFolder) -> None:
    first = Authority(state.certificates, NOW).server("delivery")
    print_of_first = first.fingerprint()
    assert Authority(state.certificates, NOW + datetime.timedelta(days=1)).server("delivery").fingerprint() == print_of_first
    late = NOW + datetime.timedelta(days=LEAF_DAYS - RENEW_DAYS + 1)
    assert Authority(state.certificates, late).server("delivery").fingerprint() != print_of_first


def test_a_certificate_of_an_authority_that_is_gone_is_made_again(state: StateFolder) -> None:
    before = Authority(state.certificates, NOW).client("operator").fingerprint()
    (state.certificates / "authority.pem").unlink()
    assert Authority(state.certificates, NOW).client("operator").fingerprint() != before


def test_secrets_are_made_once_and_are_closed_to_others(state: StateFolder) -> None:
    keys = Keys(state.keys)
    files = [keys.vault_master, keys.endpoint("sandbox-one"), keys.nkey_seed("routing")]
    password = keys.database_password("relais_routing")
    keys.sign_token("operator")
    contents = [file.read_bytes() for file in files]
    assert len(contents[0]) == 32
    again = Keys(state.keys)
    assert [file.read_bytes() for file in (again.vault_master, again.endpoint("sandbox-one"), again.nkey_seed("routing"))] == contents
    assert again.database_password("relais_routing") == password
    for file in state.keys.iterdir():
        if file.name != "tokens.public.json":
            assert file.stat().st_mode & 0o077 == 0, file.name
    for file in state.certificates.glob("*.key"):
        assert file.stat().st_mode & 0o077 == 0, file.name
    assert state.keys.stat().st_mode & 0o077 == 0


def test_a_token_verifies_with_the_published_key_and_with_no_other(state: StateFolder, tmp_path: Path) -> None:
    keys = Keys(state.keys)
    token = keys.sign_token("operator", seconds=60)
    published = json.loads(keys.trusted_tokens.read_bytes())
    assert "d" not in published["keys"][0], "the private half is not published"
    claims = jwt.decode(token, KeySet.import_key_set(published)).claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == (TOKEN_ISSUER, TOKEN_AUDIENCE, "operator")
    assert claims["exp"] - claims["iat"] == 60
    (tmp_path / "other").mkdir()
    other = json.loads(Keys(tmp_path / "other").trusted_tokens.read_bytes())
    other["keys"][0]["kid"] = published["keys"][0]["kid"]
    with pytest.raises(BadSignatureError):
        jwt.decode(token, KeySet.import_key_set(other))


def test_a_bus_key_proves_the_user_the_server_knows(state: StateFolder) -> None:
    keys = Keys(state.keys)
    pair = nkeys.from_seed(bytearray(keys.nkey_seed("identity").read_bytes()))
    assert keys.nkey_public("identity") == bytes(pair.public_key).decode()
    assert keys.nkey_public("identity").startswith("U")
    assert keys.nkey_public("routing") != keys.nkey_public("identity")


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_accepts_the_environment_it_is_given(state: StateFolder, service: Service) -> None:
    authority, keys = Authority(state.certificates, NOW), Keys(state.keys)
    ports = {name: 10_000 + number for number, name in enumerate(port_names(1))}
    write_documents(state, authority, keys, ports, replicas=1)
    configuration = read_configuration({"RELAIS_HOME": str(state.root), "RELAIS_TRACE_SAMPLE": "0.5"})
    environments = Environments(configuration, ports, keys, authority, "postgresql://x@/x?host=nowhere", "nats://127.0.0.1:10000")

    async def nothing(_: object) -> None:
        """The definition needs something to build and to migrate."""

    config = check_config(ServiceDefinition(service.name, nothing, nothing), environments.serving(service, 1))

    assert (config.replica, config.telemetry.trace_sample) == (f"{service.name}-1", 0.5)
    assert config.nats.seed_file == keys.nkey_seed(service.name)
    assert config.token_listen is not None
    migration = read_migration_config(service.name, environments.migrating(service))
    assert "relais_owner" in migration.owner_dsn
    assert "/relais_keys?" in migration.keys_owner_dsn


def test_the_sandbox_plays_the_partners_it_is_told(state: StateFolder) -> None:
    authority, keys = Authority(state.certificates, NOW), Keys(state.keys)
    ports = {name: 10_000 + number for number, name in enumerate(port_names(1))}
    write_documents(state, authority, keys, ports, replicas=1)
    sandbox = SandboxConfiguration(state.configuration / "sandbox.toml")
    assert (sandbox.port, sandbox.control_port) == (ports["sandbox"], ports["sandbox.control"])
    assert sandbox.tls().get_ca_certs() == []
    assert all((state.sandbox / name).is_dir() for name in ENDPOINTS)


def test_the_files_for_others_name_only_what_exists(state: StateFolder) -> None:
    authority, keys = Authority(state.certificates, NOW), Keys(state.keys)
    ports = {name: 10_000 + number for number, name in enumerate(port_names(2))}
    write_documents(state, authority, keys, ports, replicas=2)
    operators = tomllib.loads((state.configuration / "operators.toml").read_text())
    assert operators["operator"][0]["credential"] == "x509:" + authority.client("operator").fingerprint()
    endpoints = tomllib.loads((state.configuration / "endpoints.toml").read_text())["endpoints"]
    assert set(endpoints) == set(ENDPOINTS)
    assert len({Path(endpoint["keys_file"]).read_text() for endpoint in endpoints.values()}) == len(ENDPOINTS)
    context = tomllib.loads((state.configuration / "context.toml").read_text())
    assert len(context["services"]["ingestion"]) == 2
    for credential in context["credentials"].values():
        assert Path(credential["certificate_file"]).is_file()
        assert Path(credential["key_file"]).is_file()


def test_what_was_chosen_for_clients_is_kept_when_the_files_are_written_anew(state: StateFolder) -> None:
    authority, keys = Authority(state.certificates, NOW), Keys(state.keys)
    ports = {name: 10_000 + number for number, name in enumerate(port_names(1))}
    write_documents(state, authority, keys, ports, replicas=1)
    choose_defaults(state, {"tenant": "demo", "site": "site-a", "credential": "operator"})
    choose_defaults(state, {"tenant": "north", "credential": "operator"})
    for _ in range(2):
        context = tomllib.loads((state.configuration / "context.toml").read_text())
        assert (context["tenant"], context["credential"]) == ("north", "operator")
        assert "site" not in context
        assert set(context["credentials"]) == {"operator", "demo-sender"}
        write_documents(state, authority, keys, ports, replicas=1)
