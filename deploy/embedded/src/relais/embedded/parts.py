"""Makes the parts of one stack: which program, on which folder and port, ready when, logging where."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from relais.embedded.broker import broker_configuration
from relais.embedded.configuration import Configuration
from relais.embedded.database import SETTINGS
from relais.embedded.health import accepts_tls, serves
from relais.embedded.keys import Keys
from relais.embedded.ports import HOST
from relais.embedded.report import PartReport, PartState
from relais.embedded.services import Environments, ProgramProcess
from relais.embedded.state import StateFolder
from relais.embedded.supervisor import Part
from relais.embedded.topology import LISTENERS, Service
from relais.processes.folders import socket_folder
from relais.processes.leash import Leash
from relais.processes.nats import NatsServer
from relais.processes.postgres import SUPERUSER, PostgresPlace, PostgresServer
from relais.processes.programs import nats_server_program, postgres_bin


def postgres_server(state: StateFolder, keys: Keys, leash: Leash | None = None) -> PostgresServer:
    """Our own Postgres on the state folder; not initialised, not started."""
    place = PostgresPlace(
        programs=postgres_bin(),
        data_folder=state.postgres_data,
        socket_folder=socket_folder(state.sockets),
        log_file=state.log("postgres"),
        password=keys.database_password(SUPERUSER),
        settings=SETTINGS,
    )
    return PostgresServer(place, leash)


def postgres_part(state: StateFolder, server: PostgresServer) -> Part:
    """Postgres under watch."""
    return Part("postgres", server, state.log("postgres"), {"socket": str(server.place.socket_folder)})


def nats_part(state: StateFolder, keys: Keys, ports: Mapping[str, int], leash: Leash) -> Part:
    """nats-server under watch."""
    text = broker_configuration(state.nats / "jetstream", keys, ports["nats.monitor"])
    server = NatsServer(nats_server_program(), state.nats, text, state.log("nats-server"), host=HOST, port=ports["nats"], leash=leash)
    return Part("nats-server", server, state.log("nats-server"), {"nats": server.url, "monitor": f"http://{HOST}:{ports['nats.monitor']}"})


def external_part(name: str) -> PartReport:
    """A server that runs by itself: told of, not watched."""
    return PartReport(name=name, state=PartState.EXTERNAL, since=datetime.now(UTC))


def sandbox_part(configuration: Configuration, environments: Environments, ports: Mapping[str, int], leash: Leash) -> Part:
    """The outside world, ready when it completes a TLS handshake."""
    state = configuration.state
    authority = state.certificates / "authority.pem"
    process = ProgramProcess(
        "sandbox",
        [str(program(configuration, "sandbox")), "serve", "--config", str(state.configuration / "sandbox.toml")],
        environments.sandbox,
        lambda: accepts_tls(HOST, ports["sandbox"], authority),
        state.log("sandbox"),
        leash,
    )
    return Part(
        "sandbox", process, state.log("sandbox"), {"https": f"{HOST}:{ports['sandbox']}", "control": f"{HOST}:{ports['sandbox.control']}"}
    )


def service_part(configuration: Configuration, environments: Environments, service: Service, replica: int, leash: Leash) -> Part:
    """One replica of a service, ready when it says SERVING on its health port."""
    name = f"{service.name}-{replica}"
    addresses = {purpose: environments.listen(name, purpose) for purpose in LISTENERS}
    log_file = configuration.state.log(name)
    process = ProgramProcess(
        name,
        [str(program(configuration, service.name)), "serve"],
        lambda: environments.serving(service, replica),
        lambda: serves(addresses["health"]),
        log_file,
        leash,
    )
    return Part(name, process, log_file, addresses)


def program(configuration: Configuration, name: str) -> Path:
    """The command of a service: `relais-<name>` beside the others."""
    return configuration.programs / f"relais-{name}"
