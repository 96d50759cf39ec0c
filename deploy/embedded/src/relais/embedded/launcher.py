"""The supervisor process: brings a stack up in order, watches it, takes it down in the opposite order.

folder, room → ports, certificates, keys → Postgres, roles, databases → nats-server → migrations → sandbox, services
"""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import FrameType

import asyncpg

from relais.embedded.certificates import Authority
from relais.embedded.configuration import Configuration
from relais.embedded.database import ROLES, prepare_databases
from relais.embedded.documents import write_documents
from relais.embedded.keys import Keys
from relais.embedded.migrations import migrate_all
from relais.embedded.parts import external_part, nats_part, postgres_part, postgres_server, sandbox_part, service_part
from relais.embedded.ports import settle_ports
from relais.embedded.report import PartReport, Phase, Report, write_report
from relais.embedded.services import Environments
from relais.embedded.strays import end_strays
from relais.embedded.supervisor import Part, watch
from relais.embedded.topology import SERVICES, part_names, port_names
from relais.processes.errors import LaunchError
from relais.processes.folders import require_room
from relais.processes.leash import Leash
from relais.processes.nats import server_version
from relais.processes.programs import refuse_old_nats

ROOM_BYTES_MINIMUM = 512 * 1024 * 1024
READY_TIMEOUT_SECONDS = 60.0


class DatabaseUnreachable(LaunchError):
    """The Postgres that a variable names does not answer, or lets us not in."""


class StopRequested(BaseException):
    """Somebody asked the supervisor to stop; not an Exception, so that nothing on the way takes it for an error."""


class Launcher:
    """One run of one stack, from the first check to the last stop."""

    def __init__(self, configuration: Configuration, leash: Leash) -> None:
        self._configuration = configuration
        self._state = configuration.state
        self._leash = leash
        self._parts: list[Part] = []
        self._external: list[PartReport] = []
        self._stop_requested = False
        self._interruptible = True
        self._report = Report(phase=Phase.STARTING, supervisor=os.getpid(), started=datetime.now(UTC), replicas=configuration.replicas)

    def run(self) -> int:
        """Bring up, watch, take down; the exit status of the process. Errors are told in stack.json, where `up` reads them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        ended, status = Phase.DOWN, 0
        try:
            self._bring_up()
            self._interruptible = False
            self._tell("up", Phase.UP)
            watch(self._parts, self._write, self._wait)
        except StopRequested:
            self._report.message = "stopped while starting"
        except LaunchError as error:
            self._report.error, self._report.advice = str(error), error.advice
            ended, status = Phase.FAILED, 1
        self._interruptible = False
        self._take_down()
        self._tell(ended.value, ended)
        return status

    def _bring_up(self) -> None:
        state, configuration = self._state, self._configuration
        # First of all, for the first word of ours replaces what the earlier supervisor wrote.
        end_strays(state)
        self._tell("checking the folder, its room and the ports")
        state.create()
        require_room(state.root, ROOM_BYTES_MINIMUM)
        keep_earlier_logs(configuration)
        ports = settle_ports(state.ports_file, port_names(configuration.replicas))
        authority = Authority(state.certificates, datetime.now(UTC))
        keys = Keys(state.keys)
        write_documents(state, authority, keys, ports, configuration.replicas)
        database_dsn = self._start_postgres(keys)
        nats_url = self._start_nats(keys, ports)
        environments = Environments(configuration, ports, keys, authority, database_dsn, nats_url)
        migrate_all(configuration, environments, self._tell)
        parts = [sandbox_part(configuration, environments, ports, self._leash)]
        for service in SERVICES:
            for replica in range(1, configuration.replicas + 1):
                parts.append(service_part(configuration, environments, service, replica, self._leash))
        self._start(*parts)

    def _start_postgres(self, keys: Keys) -> str:
        """Start Postgres or take the running one, make what is missing in it, and return the administrator's address."""
        dsn = self._configuration.postgres_dsn
        if dsn is not None:
            self._external.append(external_part("postgres"))
        else:
            server = postgres_server(self._state, keys, self._leash)
            if not server.initialised:
                self._tell("making a database cluster (once)")
                server.initialise()
            self._start(postgres_part(self._state, server))
            dsn = server.dsn()
        self._tell("roles and databases")
        try:
            asyncio.run(prepare_databases(dsn, {role: keys.database_password(role) for role in ROLES}))
        except (OSError, asyncpg.PostgresError) as error:
            raise DatabaseUnreachable(
                f"Postgres could not be prepared ({type(error).__name__}).",
                "With RELAIS_POSTGRES_DSN: is it up, and may this role create roles and databases?",
            ) from error
        return dsn

    def _start_nats(self, keys: Keys, ports: Mapping[str, int]) -> str:
        url = self._configuration.nats_url
        if url is not None:
            refuse_old_nats(server_version(url), url.rpartition("@")[2])
            self._external.append(external_part("nats-server"))
            return url
        part = nats_part(self._state, keys, ports, self._leash)
        self._start(part)
        return part.addresses["nats"]

    def _start(self, *parts: Part) -> None:
        """Launch all, then wait for each in order; the first that fails ends the start."""
        for part in parts:
            self._parts.append(part)
            part.launch(time.monotonic())
        for part in parts:
            self._tell(f"waiting for {part.name}")
            part.wait_until_ready(READY_TIMEOUT_SECONDS)

    def _take_down(self) -> None:
        """Services end their work together, then what they stand on goes, last started first."""
        self._tell("stopping", Phase.STOPPING)
        for part in self._parts:
            if part.name in part_names(self._configuration.replicas):
                part.ask_to_stop()
        for part in reversed(self._parts):
            part.stop()

    def _tell(self, message: str, phase: Phase = Phase.STARTING) -> None:
        self._report.message, self._report.phase = message, phase
        self._write()

    def _write(self) -> None:
        self._report.parts = [*self._external, *(part.report() for part in self._parts)]
        self._report.free_bytes = shutil.disk_usage(self._state.root).free
        if self._report.phase is Phase.UP:
            self._report.message = "up" if self._report.free_bytes > ROOM_BYTES_MINIMUM else "up, but its disk is nearly full"
        try:
            write_report(self._state.stack_file, self._report)
        except OSError as error:
            # A full disk must not end what still runs: the report is late, and the log of the supervisor says why.
            sys.stderr.write(f"stack.json could not be written: {error.strerror}\n")

    def _wait(self, seconds: float) -> bool:
        """Wait a moment; True when asked to stop."""
        if not self._stop_requested:
            time.sleep(seconds)
        return self._stop_requested

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_requested = True
        if self._interruptible:
            self._interruptible = False
            raise StopRequested


def keep_earlier_logs(configuration: Configuration) -> None:
    """Move each log of the run before to `<name>.1`, so that a log begins with the start that is being looked into."""
    for file in configuration.state.logs.glob("*.log"):
        if file.name != "supervisor.log":
            file.replace(file.with_name(f"{file.name}.1"))
